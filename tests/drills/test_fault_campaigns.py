"""Fault campaigns over a fleet: several devices, and an agent killed in the middle."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

import gauntlet
from fault_injection.precision import Precision
from gauntlet.errors import UsageError
from gauntlet.faults import campaign
from gauntlet.faults.settings import FaultSettings, conditions
from tests.drills.processes import Lab
from tests.gauntlet import int8

pytest.importorskip("ai_edge_litert")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return int8.write(tmp_path_factory.mktemp("files"))


def settings(files: tuple[Path, Path], **fields: object) -> FaultSettings:
    return FaultSettings(
        files[0],
        files[1],
        conditions(["iBF(p=0.003)", "MiBB(p_m=0.001)"]),
        Precision(0.0001, 0.95, 10, 40),
        **fields,  # type: ignore[arg-type]
    )


def test_two_devices_draw_the_same_faults_and_lose_nothing_when_an_agent_is_killed(
    lab: Lab, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    agents = {name: lab.start_agent(name) for name in ("a1", "a2")}
    killed = threading.Event()

    def show(text: str) -> None:
        # In the second condition of the campaign, one of the two dies and comes back.
        if "MiBB" in text and not killed.is_set():
            killed.set()
            agents["a1"].send_signal(signal.SIGKILL)
            agents["a1"].wait(10)
            agents["a1"] = lab.start_agent("a1")

    with gauntlet.Lab(lab.address) as connected:
        with pytest.raises(UsageError, match="a campaign belongs to one device"):
            campaign.run(connected, settings(files), tmp_path / "none")
        with pytest.raises(UsageError, match="no device is called pi9"):
            campaign.run(connected, settings(files, devices=("pi9",)), tmp_path / "none")
        result = campaign.run(connected, settings(files, devices=("a1", "a2")), tmp_path / "out", show)
    assert killed.is_set()
    first, second = result.devices
    for one, other in zip(first.series, second.series, strict=True):
        assert len(one.outcomes) == len(other.outcomes) == 40
        assert one.outcomes.digests == other.outcomes.digests
        # Devices of one kind, with the same kernels.
        assert one.outcomes.accuracies == other.outcomes.accuracies
        assert len(set(one.outcomes.digests)) == 40
