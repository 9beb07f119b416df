"""Several strategies side by side: each searches several times, with the same devices, budget and seeds.

    run folder
      log.jsonl           the campaign file, and in the end every candidate that any of them found
      supernet.pt         trained once
      models/             shared
      nsga2-0/ random-0/ nsga2-1/ …    a run of each strategy and seed, with its own log
      winners/, table.parquet, report.html      of all of them together
      comparison.html     who found how much with how many queries

Each search is a campaign like any other. Their jobs go under one id, so that an architecture that two of them ask for
is measured once and costs each of them a query.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from protos import contract
from search.campaign import publishing
from search.campaign.campaign import PROCESS, Campaign, Observer, Outcome, about
from search.campaign.config import CampaignConfig, parse
from search.campaign.problem import Problem
from search.campaign.sections import CompareConfig
from search.errors import RunLogError
from search.evaluations import Evaluation
from search.fleet import Fleet
from search.runlog import FILE_NAME, RunLog, read_history

#: Note of the whole run's log: the folder of a search that came to its end.
SEARCHED = "searched"


@dataclass(frozen=True)
class Entrant:
    """One search of a comparison.

    Attributes:
        label: of the strategy.
        seed: of the strategy.
        folder: of its run.
        config: its campaign.
    """

    label: str
    seed: int
    folder: Path
    config: CampaignConfig


def entrants(config: CampaignConfig, folder: Path) -> Iterator[Entrant]:
    """All searches of a comparison. Seed by seed, so that one that is stopped early has compared something.

    Args:
        config: the campaign file.
        folder: of the whole run.
    """
    for seed in range(config.strategy_seed, config.strategy_seed + config.compare.seeds):
        for label, search in config.searches().items():
            changes = {
                "search": search.model_copy(update={"seed": seed}),
                "compare": CompareConfig(),
                "title": f"{config.title}: {label}, seed {seed}",
            }
            yield Entrant(label, seed, folder / f"{label}-{seed}", config.model_copy(update=changes))


class Contest:
    """One process's part in a comparison. Arguments as those of `Campaign`."""

    def __init__(self, log: RunLog, observer: Observer, stop: Callable[[], bool] = lambda: False) -> None:
        self.log = log
        self.folder = log.path.parent
        self.config = parse(dict(log.history.about["config"]), str(log.path))
        self._observer = observer
        self._stop = stop
        self._began = time.monotonic()
        self._entrants = list(entrants(self.config, self.folder))

    def check(self) -> None:
        """Everything that can be known to be wrong before the lab starts.

        Raises:
            SearchError: data that can no longer be read.
        """
        self.problem = Problem.of(self.config)

    async def run(self, client: Fleet) -> Outcome:
        """Carry it to its end, or to a stop.

        Raises:
            SearchError, ClientError, SupernetError: it cannot go on; what was done is kept.
        """
        stopped = await self._search(client)
        self.log.note(PROCESS, {"wall_s": time.monotonic() - self._began})
        if stopped:
            return stopped
        self._gather()
        whole = Campaign(self.log, self._observer, self._stop)
        whole.check(self.problem)
        return await whole.run(client)

    async def _search(self, client: Fleet) -> Outcome | None:
        """All searches, one after the other; how far the one came that was stopped."""
        jobs_id = str(self.log.history.about["campaign_id"])
        shared = (self.folder, jobs_id)
        for place, entrant in enumerate(self._entrants, 1):
            name = f"{entrant.label}, seed {entrant.seed} ({place} of {len(self._entrants)})"
            observer = replace(self._observer, stage=partial(self._stage, name))
            with _opened(entrant) as log:
                campaign = Campaign(log, observer, self._stop, shared)
                campaign.check(replace(self.problem, config=entrant.config))
                if not await campaign.search(client):
                    return Outcome(False, log.history.evaluations)
                await publishing.searched(client, campaign.campaign_id, entrant.config)
            if entrant.folder.name not in self.log.history.notes(SEARCHED):
                self.log.note(SEARCHED, entrant.folder.name)
        return None

    def _stage(self, name: str, stage: str) -> None:
        self._observer.stage(f"{name}: {stage}")

    def _gather(self) -> None:
        """Every candidate that any search found, once, into the log of the whole."""
        found: dict[str, Evaluation] = {}
        for entrant in self._entrants:
            for evaluation in read_history(entrant.folder).evaluations:
                found.setdefault(evaluation.architecture, evaluation)
        known = set(self.log.history.asked.values())
        fresh = [e for text, e in found.items() if text not in known]
        if fresh:
            self.log.asked([evaluation.architecture for evaluation in fresh])
        for number, text in self.log.history.pending.items():
            self.log.told(replace(found[text], number=number))


def _opened(entrant: Entrant) -> RunLog:
    """The log of a search, begun or continued."""
    if (entrant.folder / FILE_NAME).exists():
        log = RunLog.open(entrant.folder)
        # Read, so that a key which came later has the value that was meant when there was none.
        if parse(dict(log.history.about["config"]), str(log.path)).model_dump() != entrant.config.model_dump():
            log.close()
            raise RunLogError(f"{entrant.folder} is the run of another campaign", "choose another folder")
        return log
    return RunLog.create(entrant.folder, contract.software_version(), about(entrant.config))
