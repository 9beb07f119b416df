"""A campaign: ask, make, measure, tell, and write down every step so that `kill -9` costs nothing.

    run folder
      log.jsonl        what was asked and told, and the notes from which a report is drawn; the only truth
      supernet.pt      checkpoint of the training, where candidates share weights
      models/          candidates as files, by digest
      winners/         the Pareto-optimal ones, ready to ship, with a card each
      table.parquet    all figures, to be replayed or learned from by other campaigns
      report.html

The strategy's state is the log: a resumed campaign recalls what was asked, is told what was told, and evaluates what is
pending. Jobs are submitted under keys that the content decides, so that those of an earlier life are found again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from protos import contract
from protos.gauntlet.v1 import fleet_pb2
from search.campaign import audits, corrections, publishing, uploads, warm_start, winners
from search.campaign.config import CampaignConfig, parse
from search.campaign.evaluating import Evaluator
from search.campaign.finalists import Finalists
from search.campaign.makers import SupernetMaker, maker_for
from search.campaign.measurements import DataSets, describe
from search.campaign.problem import Problem, check_machine, front_of, identifier
from search.campaign.stopping import stop_reason
from search.campaign.targets import check_deliverable, check_metered, find_targets, is_of
from search.errors import Exhausted, SearchError, StrategyError
from search.evaluations import Evaluation
from search.fleet import Fleet
from search.noise import floors_of
from search.replay.recording import record
from search.runlog import RunLog
from search.spaces.base import Architecture
from search.supernet import Progress
from search.values import Value

#: Note of the log: why a search ended before its budget.
ENDED = "ended"
#: Note of the log: how long a process worked on it. One that was killed leaves none.
PROCESS = "process"
#: What the orchestrator shows of a campaign is at most so old.
_PUBLISH_EVERY_S = 0.5


@dataclass
class Observer:
    """Who watches; each hook may be left out.

    Attributes:
        stage: a stage began.
        trained: a training step was done.
        evaluated: a candidate is done: evaluation, how many are done, how many will be.
        audited: trainings of the audit done, and in all.
        finalists: their trainings, and then their measurements, done and in all.
        note: something worth a line.
    """

    stage: Callable[[str], None] = lambda name: None
    trained: Callable[[Progress], None] = lambda progress: None
    evaluated: Callable[[Evaluation, int, int], None] = lambda evaluation, done, total: None
    audited: Callable[[int, int], None] = lambda done, total: None
    note: Callable[[str], None] = lambda text: None
    finalists: Callable[[int, int], None] = lambda done, total: None


@dataclass
class Outcome:
    """How a campaign ended.

    Attributes:
        complete: False when it was stopped, and can be resumed.
        evaluations: all candidates, in the order of telling.
    """

    complete: bool
    evaluations: list[Evaluation] = field(default_factory=list)


def create(folder: Path, config: CampaignConfig) -> RunLog:
    """Begin a run in a new folder.

    Raises:
        SearchError: data or a warm start that cannot be read, a strategy that cannot be, a space with no feasible
            architecture, or a machine that cannot train as is asked: no folder is taken for it.
        RunLogError: the folder holds a run already, or cannot be written.
    """
    check_machine(config)
    whole = Problem.of(config)
    for label, search in config.searches().items():
        try:
            replace(whole, config=config.model_copy(update={"search": search})).strategy().ask(1)
        except StrategyError as error:
            whose = f"{label}: " if config.compare.strategies else ""
            raise StrategyError(f"{whose}{error.message}", error.remedy) from error
    warm_start.collect(whole)
    return RunLog.create(folder, contract.software_version(), about(config))


def about(config: CampaignConfig) -> dict[str, object]:
    """What the first line of a run says."""
    return {
        "campaign_id": f"{identifier(config.title)}-{secrets.token_hex(4)}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config.model_dump(mode="json"),
    }


class Campaign:
    """One process's part in a run.

    Args:
        log: of the run, open; the campaign is what its first line says.
        observer: who watches.
        stop: asked often; true ends the campaign cleanly, to be resumed.
        shared: folder of the supernet and the models, and the id under which jobs are submitted: campaigns that
            compare strategies share both, so that nothing is trained or measured twice. None: the campaign's own.
    """

    def __init__(
        self,
        log: RunLog,
        observer: Observer,
        stop: Callable[[], bool] = lambda: False,
        shared: tuple[Path, str] | None = None,
    ) -> None:
        self.log = log
        self.folder = log.path.parent
        self.config = parse(dict(log.history.about["config"]), str(log.path))
        self.campaign_id = str(log.history.about["campaign_id"])
        self._shared_folder, self._jobs_id = shared or (self.folder, self.campaign_id)
        self._observer = observer
        self._stop = stop
        self._began = time.monotonic()
        self._published = 0.0
        self._unpublished: list[Evaluation] = []
        self._planned = self.config.search.candidates
        #: Share of the training that is done.
        self._trained = 0.0

    def check(self, problem: Problem | None = None) -> None:
        """Everything that can be known to be wrong before the lab starts.

        Args:
            problem: what the settings stand for, if it has been made already.

        Raises:
            SearchError: data that can no longer be read, or a machine that cannot train as is asked.
        """
        check_machine(self.config)
        self.problem = problem or Problem.of(self.config)
        self.space = self.problem.space
        self._maker = maker_for(self.problem, self._shared_folder / "supernet.pt")

    async def run(self, client: Fleet) -> Outcome:
        """Carry it to its end, or to a stop.

        Raises:
            SearchError, ClientError, SupernetError: it cannot go on; what was done is kept.
        """
        complete = await self.search(client)
        if complete:
            async with publishing.failing(client, self.campaign_id, self.config):
                complete = await self._audit() and await self.conclude(client)
                if not complete:
                    await self._pause(client)
        self._note_time()
        return Outcome(complete, self.log.history.evaluations)

    async def search(self, client: Fleet) -> bool:
        """The part up to the last candidate. False when stopped.

        Raises:
            SearchError, ClientError, SupernetError: it cannot go on; what was done is kept.
        """
        async with publishing.failing(client, self.campaign_id, self.config):
            self._check_space()
            await self._attach(client)
            # The campaign of a comparison holds what others found, and finds nothing itself.
            holds_others = bool(self.config.compare.strategies)
            complete = await self._begin(client) and (holds_others or await self._search(client))
            if not complete:
                await self._pause(client)
            return complete

    async def conclude(self, client: Fleet) -> bool:
        """The part after the last candidate: winners are confirmed, and all is written down. False when stopped.

        Raises:
            SearchError, ClientError: it cannot go on; what was done is kept.
        """
        recorded = self.problem.table is not None
        finals = self.problem.recorded_finals(self.log.history) if recorded else await self._confirm(client)
        front = front_of(self.log.history, self.config)
        if not await self._train_finalists(client, front):
            return False
        models = self._shared_folder / "models"
        winners.write(self.folder, models, front, finals, self.config, self.campaign_id)
        winners.add_finalists(self.folder, models, self.log.history, self.config, self.campaign_id)
        record(
            self.folder,
            self.problem.whole_space,
            self.log.history.evaluations,
            {target.name: dict(describe(device)) for target, device in self._measured_by},
            title=self.config.title,
            protocol=self.config.measure.full_protocol().model_dump(mode="json"),
            sources=[f"replayed from {self.config.replay}"] if self.config.replay else [],
        )
        await publishing.finish(client, self.campaign_id, self.config, self.log.history, self._planned)
        return True

    async def _pause(self, client: Fleet) -> None:
        await publishing.pause(client, self.campaign_id, self.config)

    # ------------------------------------------------------------------------------------------------ stages

    async def _attach(self, client: Fleet) -> None:
        devices = await client.devices()
        self._targets = find_targets(self.config.devices(), devices)
        check_deliverable(self.config.quantities(), self._targets, devices)
        if self.config.stop.energy_j is not None:
            check_metered(self._targets, devices)
        self._note_devices(devices)
        models = self._shared_folder / "models"
        self._evaluator = Evaluator(self.problem, self._maker, client, self._targets, models, self._jobs_id)
        await publishing.begin(client, self.campaign_id, self.config)

    async def _begin(self, client: Fleet) -> bool:
        if not isinstance(self._maker, SupernetMaker):
            return True
        self._observer.stage("training the supernet")
        began = time.monotonic()
        async with publishing.training(client, self.campaign_id, lambda: self._trained):
            complete = await asyncio.to_thread(self._maker.train, self._note_trained, self._stop)
        self._note_stage("training", time.monotonic() - began)
        return complete

    def _note_trained(self, progress: Progress) -> None:
        self._trained = progress.step / progress.steps
        self._observer.trained(progress)

    async def _search(self, client: Fleet) -> bool:
        self._observer.stage("searching")
        data_sets = await uploads.data_sets(client, self.config, self.problem.data, "validation")
        entered = warm_start.enter(self.log, self.problem, self._observer.note)
        self._recall()
        total = self._planned = self.config.search.candidates + entered
        for done, evaluation in enumerate(self.log.history.evaluations, 1):
            self._observer.evaluated(evaluation, done, total)
        pending = [(number, self.space.parse(text)) for number, text in self.log.history.pending.items()]
        with ThreadPoolExecutor(1, thread_name_prefix="prepare") as host:
            while True:
                if pending and not await self._evaluate_all(client, host, data_sets, pending, total):
                    return False
                left = total - len(self.log.history.asked)
                if left <= 0:
                    return True
                reason = stop_reason(self.config, self.log.history)
                if reason:
                    self._note_end(reason)
                    return True
                try:
                    architectures = self.strategy.ask(min(self.config.search.batch, left))
                except Exhausted as end:
                    self._note_end(end.message)
                    return True
                asked = self.log.asked([a.text for a in architectures])
                pending = list(enumerate(architectures, asked.number))

    async def _audit(self) -> bool:
        chosen = self.config.audit
        if not isinstance(self._maker, SupernetMaker) or not chosen.subnets or self.log.history.notes(audits.AUDIT):
            return True
        self._observer.stage("auditing the supernet")
        began = time.monotonic()

        def progress(stage: str, done: int, total: int) -> None:
            if stage == "alone":
                self._observer.audited(done, total)
            if self._stop():
                raise _StoppedError

        plan = audits.campaign_plan(self.config)
        try:
            await asyncio.to_thread(
                audits.carry_out_audit, self.log, self.config, self._maker, plan, chosen.workers, progress
            )
        except _StoppedError:
            return False
        self._note_stage("audit", time.monotonic() - began)
        return True

    async def _confirm(self, client: Fleet) -> Mapping[str, object]:
        """Measure the front once more, until all of it is confirmed."""
        self._observer.stage("measuring the winners on fresh images and fresh faults")
        while True:
            # Measuring takes its time, in which a device may be found unfit: then others may be the winners.
            corrected = await corrections.correct(
                client, self.log, self._jobs_id, self._targets, self.config.aggregates()
            )
            if corrected:
                self._observer.note(f"figures corrected that an unfit device had measured: {corrected}")
            front = front_of(self.log.history, self.config)
            finals = (self.log.history.notes("finals") or [{}])[-1]
            new = [evaluation for evaluation in front if str(evaluation.number) not in finals]
            if not new:
                return dict(finals)
            figures = await self._measure_winners(client, new)
            found = {str(number): {k: v.to_json() for k, v in f.items()} for number, f in figures.items()}
            self.log.note("finals", {**finals, **found})

    async def _train_finalists(self, client: Fleet, front: Sequence[Evaluation]) -> bool:
        """Train some of the front alone, and measure what comes of it. False when stopped."""
        if not self.config.finalists.networks:
            return True
        observer, began, trained = self._observer, time.monotonic(), 0.0

        def progress(done: int, total: int) -> None:
            nonlocal trained
            trained = done / max(total, 1)
            observer.finalists(done, total)

        observer.stage("training the best candidates alone")
        best = Finalists(self.log, self.problem, self._maker, progress, observer.note, self._stop)
        entries = best.choose(front)
        async with publishing.training(client, self.campaign_id, lambda: trained):
            complete = await best.train(entries)
        self._note_stage("training of finalists", time.monotonic() - began)
        if not complete:
            return False
        observer.stage("measuring them on fresh images and fresh faults")
        data_sets = await uploads.data_sets(client, self.config, self.problem.data, "test")
        return await best.measure(entries, self._evaluator, data_sets)

    # ------------------------------------------------------------------------------------------------ candidates

    def _recall(self) -> None:
        self.strategy = self.problem.strategy()
        self.strategy.learn(warm_start.learned(self.log.history))
        self.strategy.recall(self.space.parse(text) for text in self.log.history.asked.values())
        self.strategy.tell(self.log.history.evaluations)

    async def _evaluate_all(
        self,
        client: Fleet,
        host: ThreadPoolExecutor,
        data: DataSets,
        pending: Sequence[tuple[int, Architecture]],
        total: int,
    ) -> bool:
        """Evaluate these side by side: the host prepares one while devices measure others. False when stopped."""
        running = [
            asyncio.ensure_future(self._evaluator.evaluate(host, data, number, architecture))
            for number, architecture in pending
        ]
        try:
            waiting = set(running)
            while waiting:
                done, waiting = await asyncio.wait(waiting, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    evaluation = task.result()
                    self.log.told(evaluation)
                    self.strategy.tell([evaluation])
                    self._unpublished.append(evaluation)
                    self._observer.evaluated(evaluation, len(self.log.history.told), total)
                await self._publish(client, whole=not waiting)
                if waiting and self._stop():
                    return False
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return not self._stop()

    async def _measure_winners(self, client: Fleet, front: Sequence[Evaluation]) -> Mapping[int, Mapping[str, Value]]:
        """Accuracy of the front on images and under faults that no choice has seen."""
        data_sets = await uploads.data_sets(client, self.config, self.problem.data, "test")
        found = {}
        for evaluation in front:
            winner = await asyncio.to_thread(self._evaluator.with_model, evaluation)
            if winner != evaluation:
                self.log.corrected(winner)
            found[evaluation.number] = await self._evaluator.confirm(data_sets, next(iter(winner.digests.values())))
        return found

    async def _publish(self, client: Fleet, whole: bool) -> None:
        """Show what is new, not more often than people look; `whole` shows it in any case."""
        if self._unpublished and (whole or time.monotonic() - self._published > _PUBLISH_EVERY_S):
            told, self._unpublished = self._unpublished, []
            await publishing.evaluated(client, self.campaign_id, told, self.config, self.log.history, self._planned)
            self._published = time.monotonic()

    # ------------------------------------------------------------------------------------------------ notes

    def _check_space(self) -> None:
        """A user's function, or a table, may have changed since the run began."""
        before = self.log.history.notes("space")
        if not before:
            self.log.note("space", self.space.name)
        elif before[0] != self.space.name:
            raise SearchError(
                f"{self.folder} searches another space than its campaign names now: {before[0]}",
                "undo the change of the builder or the table, or begin the run anew in another folder",
            )

    def _note_devices(self, devices: Sequence[fleet_pb2.Device]) -> None:
        self._measured_by = [(t, device) for t in self._targets for device in devices if is_of(t, device)]
        self.log.note("floors", floors_of(self.config.devices(), devices))
        used = {device.description.device_id: dict(describe(device)) for _, device in self._measured_by}
        self.log.note("devices", list(used.values()))

    def _note_end(self, reason: str) -> None:
        """The search ended before its budget did."""
        self._observer.note(reason)
        if not self.log.history.notes(ENDED):
            self.log.note(ENDED, reason)

    def _note_stage(self, stage: str, seconds: float) -> None:
        self.log.note("stage", {"stage": stage, "seconds": seconds})

    def _note_time(self) -> None:
        self.log.note(PROCESS, {"wall_s": time.monotonic() - self._began})


class _StoppedError(Exception):
    """Somebody asked us to stop, in the middle of an audit."""
