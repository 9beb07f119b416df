"""A search of a comparison goes on with its own log, also one that an earlier version began."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from search.campaign import contest
from search.campaign.campaign import about
from search.campaign.config import CampaignConfig
from search.errors import RunLogError
from search.runlog import RunLog
from tests.search.campaign import tiny


def test_a_key_that_came_later_makes_no_other_campaign(tmp_path: Path) -> None:
    config = CampaignConfig.model_validate(tiny.document(compare={"strategies": ["random", "nsga2"], "seeds": 1}))
    entrant = next(contest.entrants(config, tmp_path))
    said = about(entrant.config)
    earlier = {key: value for key, value in dict(entrant.config.model_dump(mode="json")).items() if key != "finalists"}
    RunLog.create(entrant.folder, "1.0", {**said, "config": earlier}).close()
    with contest._opened(entrant) as log:
        assert not log.history.asked
    other = replace(entrant, config=entrant.config.model_copy(update={"seed": 9}))
    with pytest.raises(RunLogError, match="another campaign"):
        contest._opened(other)
