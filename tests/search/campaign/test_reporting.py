"""What a report takes from a run's log."""

from __future__ import annotations

from pathlib import Path

from search.campaign.campaign import about
from search.campaign.config import CampaignConfig
from search.campaign.reporting import report_input
from search.runlog import RunLog
from tests.search.campaign import tiny


def test_the_noise_floors_that_were_noted_last_count(tmp_path: Path) -> None:
    config = CampaignConfig.model_validate(tiny.document())
    with RunLog.create(tmp_path / "run", "1.0", about(config)) as log:
        assert report_input(log.history, tmp_path / "run").floors == {}
        log.note("floors", {"local": 0.05})
        log.note("floors", {"local": 0.02})
        assert report_input(log.history, tmp_path / "run").floors == {"local": 0.02}
