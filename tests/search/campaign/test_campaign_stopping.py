"""When a campaign has done enough: its own seconds and joules, and a front that no longer grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.campaign.config import CampaignConfig
from search.campaign.stopping import stop_reason
from search.campaign.warm_start import FROM
from search.evaluations import Evaluation
from search.runlog import RunLog
from search.values import Value
from tests.search.campaign import tiny


def config(**stop: Any) -> CampaignConfig:
    return CampaignConfig(**tiny.document(objectives=["accuracy", "latency_s@local"], stop=stop))


def tell(log: RunLog, accuracies: list[float], provenance: dict[str, str] | None = None) -> None:
    first = len(log.history.asked)
    log.asked([f"net-{number}" for number in range(first, first + len(accuracies))])
    for number, accuracy in enumerate(accuracies, first):
        figures = {"accuracy": Value(accuracy), "latency_s@local": Value(0.001)}
        log.told(
            Evaluation(
                number,
                f"net-{number}",
                1,
                1,
                figures=figures,
                stage_s={"measurement": 2.0, "faults": 1.0, "export": 100.0},
                spent_j=5.0,
                provenance=provenance or {},
            )
        )


def test_seconds_and_joules_of_devices_count_and_a_warm_start_costs_nothing(tmp_path: Path) -> None:
    with RunLog.create(tmp_path, "test") as log:
        tell(log, [0.1] * 5, {FROM: "yesterday"})
        tell(log, [0.2, 0.3])
        assert stop_reason(config(device_s=7), log.history) is None
        assert stop_reason(config(energy_j=11), log.history) is None
        tell(log, [0.4])
        assert stop_reason(config(), log.history) is None
        assert "9 s" in str(stop_reason(config(device_s=7), log.history))
        assert "15 J" in str(stop_reason(config(energy_j=11), log.history))


def test_a_front_that_no_longer_grows_ends_the_search(tmp_path: Path) -> None:
    with RunLog.create(tmp_path, "test") as log:
        tell(log, [0.5, 0.6, 0.7])
        plateau = config(plateau={"queries": 3, "gain": 0.01})
        assert stop_reason(plateau, log.history) is None
        tell(log, [0.1, 0.2, 0.65])
        assert "the last 3 queries" in str(stop_reason(plateau, log.history))


def test_a_plateau_is_made_of_own_queries_though_a_warm_start_counts_towards_the_front(tmp_path: Path) -> None:
    with RunLog.create(tmp_path, "test") as log:
        tell(log, [0.7, 0.6, 0.5, 0.4, 0.3], {FROM: "yesterday"})
        plateau = config(plateau={"queries": 2, "gain": 0.01})
        assert stop_reason(plateau, log.history) is None
        tell(log, [0.65])
        assert stop_reason(plateau, log.history) is None
        tell(log, [0.65])
        assert "the last 2 queries" in str(stop_reason(plateau, log.history))
