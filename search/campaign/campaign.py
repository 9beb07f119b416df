"""A campaign: train the supernet, ask, measure, tell, and write down every step so that `kill -9` costs nothing.

    run folder
      log.jsonl        what was asked and told, and the notes from which a report is drawn; the only truth
      supernet.pt      checkpoint of the training
      models/          candidates as files, by digest
      winners/         the Pareto-optimal ones, ready to ship, with a card each
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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from orchestrator.client import Client
from protos import contract, dataset
from protos.gauntlet.v1 import artifact_pb2, fleet_pb2
from search.campaign import corrections, problem, publishing, winners
from search.campaign.candidates import Candidate, CandidateError, prepare
from search.campaign.config import CampaignConfig, parse
from search.campaign.measurements import DataSets, Findings, candidate_name, describe, find_targets, tasks
from search.data import Split
from search.errors import Exhausted
from search.evaluations import Evaluation, Failure
from search.export import outputs_of
from search.report import audit_document
from search.runlog import RunLog
from search.spaces.base import Architecture
from search.supernet import Progress, Supernet, audit, train
from search.values import Origin, Value

#: Images whose outputs on the device are compared with the host's before anything is timed.
_REFERENCE_IMAGES = 16


@dataclass
class Observer:
    """Who watches; each hook may be left out.

    Attributes:
        stage: a stage began.
        trained: a training step was done.
        evaluated: a candidate is done: evaluation, how many are done, how many will be.
        audited: trainings of the audit done, and in all.
        note: something worth a line.
    """

    stage: Callable[[str], None] = lambda name: None
    trained: Callable[[Progress], None] = lambda progress: None
    evaluated: Callable[[Evaluation, int, int], None] = lambda evaluation, done, total: None
    audited: Callable[[int, int], None] = lambda done, total: None
    note: Callable[[str], None] = lambda text: None


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
        SearchError: data that cannot be read, or a space with no feasible architecture: no folder is taken for it.
        RunLogError: the folder holds a run already, or cannot be written.
    """
    problem.strategy(config, problem.space(config, problem.load_data(config))).ask(1)
    campaign_id = f"{problem.identifier(config.title)}-{secrets.token_hex(4)}"
    about = {
        "campaign_id": campaign_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config.model_dump(mode="json"),
    }
    return RunLog.create(folder, contract.software_version(), about)


class Campaign:
    """One process's part in a run.

    Args:
        log: of the run, open; the campaign is what its first line says.
        observer: who watches.
        stop: asked often; true ends the campaign cleanly, to be resumed.
    """

    def __init__(self, log: RunLog, observer: Observer, stop: Callable[[], bool] = lambda: False) -> None:
        self.log = log
        self.folder = log.path.parent
        self.config = parse(dict(log.history.about["config"]), str(log.path))
        self.campaign_id = str(log.history.about["campaign_id"])
        self._observer = observer
        self._stop = stop
        self._began = time.monotonic()

    def check(self) -> None:
        """Everything that can be known to be wrong before the lab starts.

        Raises:
            SearchError: data that can no longer be read.
        """
        self.data = problem.load_data(self.config)
        self.space = problem.space(self.config, self.data)
        self.strategy = problem.strategy(self.config, self.space)

    async def run(self, client: Client) -> Outcome:
        """Carry it to its end, or to a stop.

        Raises:
            SearchError, ClientError, SupernetError: it cannot go on; what was done is kept.
        """
        devices = await client.devices()
        self._targets = find_targets(self.config.devices(), devices)
        self._note_devices(devices)
        await publishing.begin(client, self.campaign_id, self.config)
        complete = await self._train() and await self._search(client) and await self._audit()
        if complete:
            await self._finish(client)
        self._note_time()
        return Outcome(complete, self.log.history.evaluations)

    # ------------------------------------------------------------------------------------------------ stages

    async def _train(self) -> bool:
        self._observer.stage("training the supernet")
        began = time.monotonic()
        self._supernet = Supernet(self.space, seed=self.config.seed)
        complete = await asyncio.to_thread(
            train,
            self._supernet,
            self.data,
            problem.training(self.config),
            checkpoint=self.folder / "supernet.pt",
            progress=self._observer.trained,
            stop=self._stop,
        )
        self._note_stage("training", time.monotonic() - began)
        return complete

    async def _search(self, client: Client) -> bool:
        self._observer.stage("searching")
        data_sets = await self._upload_data(client)
        self._recall()
        total = self.config.search.candidates
        pending = [(number, self.space.parse(text)) for number, text in self.log.history.pending.items()]
        with ThreadPoolExecutor(1, thread_name_prefix="prepare") as host:
            while True:
                if pending and not await self._evaluate_all(client, host, data_sets, pending, total):
                    return False
                left = total - len(self.log.history.asked)
                if left <= 0:
                    return True
                try:
                    architectures = self.strategy.ask(min(self.config.search.batch, left))
                except Exhausted as end:
                    self._observer.note(end.message)
                    return True
                asked = self.log.asked([a.text for a in architectures])
                pending = list(enumerate(architectures, asked.number))

    async def _audit(self) -> bool:
        chosen = self.config.audit
        if not chosen.subnets or self.log.history.notes("audit"):
            return True
        self._observer.stage("auditing the supernet")
        began = time.monotonic()

        def progress(done: int, total: int) -> None:
            self._observer.audited(done, total)
            if self._stop():
                raise _StoppedError

        try:
            found = await asyncio.to_thread(
                audit,
                self._supernet,
                self.data,
                subnets=chosen.subnets,
                seeds=chosen.seeds,
                settings=problem.audit_training(self.config),
                seed=self.config.seed,
                progress=progress,
            )
        except _StoppedError:
            return False
        self.log.note("audit", audit_document(found))
        self._note_stage("audit", time.monotonic() - began)
        return True

    async def _finish(self, client: Client) -> None:
        self._observer.stage("measuring the winners on fresh images and fresh faults")
        while True:
            # Measuring takes its time, in which a device may be found unfit: then others may be the winners.
            corrected = await corrections.correct(client, self.log, self.campaign_id, self._targets)
            if corrected:
                self._observer.note(f"figures corrected that an unfit device had measured: {corrected}")
            front = problem.front_of(self.log.history, self.config)
            finals = (self.log.history.notes("finals") or [{}])[-1]
            new = [evaluation for evaluation in front if str(evaluation.number) not in finals]
            if not new:
                break
            figures = await self._measure_winners(client, new)
            found = {str(number): {k: v.to_json() for k, v in f.items()} for number, f in figures.items()}
            self.log.note("finals", {**finals, **found})
        winners.write(self.folder, front, finals, self.config, self.campaign_id)
        await publishing.finish(client, self.campaign_id, self.config, self.log.history)

    # ------------------------------------------------------------------------------------------------ candidates

    def _recall(self) -> None:
        self.strategy = problem.strategy(self.config, self.space)
        self.strategy.recall(self.space.parse(text) for text in self.log.history.asked.values())
        self.strategy.tell(self.log.history.evaluations)

    async def _evaluate_all(
        self,
        client: Client,
        host: ThreadPoolExecutor,
        data_sets: DataSets,
        pending: Sequence[tuple[int, Architecture]],
        total: int,
    ) -> bool:
        """Evaluate these side by side: the host prepares one while devices measure others. False when stopped."""
        running = [
            asyncio.ensure_future(self._evaluate(client, host, data_sets, number, architecture))
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
                    await publishing.evaluated(client, self.campaign_id, evaluation, self.config, self.log.history)
                    self._observer.evaluated(evaluation, len(self.log.history.told), total)
                if waiting and self._stop():
                    return False
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return not self._stop()

    async def _evaluate(
        self, client: Client, host: ThreadPoolExecutor, data_sets: DataSets, number: int, architecture: Architecture
    ) -> Evaluation:
        loop = asyncio.get_running_loop()
        facts: dict[str, Any] = {
            "number": number,
            "architecture": architecture.text,
            "macs": self.space.macs(architecture),
            "parameters": self.space.parameters(architecture),
        }
        try:
            candidate = await loop.run_in_executor(host, prepare, self._supernet, self.data, architecture)
        except CandidateError as error:
            return Evaluation(**facts, failure=Failure("not exportable", str(error), "export"))
        findings = Findings(self._known_before(candidate), [], dict(candidate.stage_s), {})
        models = self.folder / "models"
        models.mkdir(exist_ok=True)
        candidate.model.save(models / f"{candidate.model.digest}.tflite")
        model = await client.put_bytes(candidate.model.data, "model/tflite", candidate_name(number))
        reference = await self._upload_reference(client, candidate)
        wanted = tasks(
            self.config, self.campaign_id, self._targets, data_sets, model, reference, problem.fault_seed(self.config)
        )
        ended = await client.settled(await client.run([task.spec for task in wanted]))
        for task, job in zip(wanted, ended, strict=True):
            findings.add(task, job, self._targets[0])
        return Evaluation(
            **facts,
            figures=findings.figures,
            faults=tuple(findings.faults),
            digests={"int8": candidate.model.digest},
            failure=findings.failure,
            stage_s=findings.stage_s,
            provenance=findings.provenance,
        )

    def _known_before(self, candidate: Candidate) -> dict[str, Value]:
        return {
            "inherited_accuracy": candidate.inherited,
            "model_bytes": Value(float(candidate.model.size_bytes), origin=Origin.MEASURED),
            "export_agreement": Value(candidate.agreement),
        }

    async def _measure_winners(self, client: Client, front: Sequence[Evaluation]) -> Mapping[int, Mapping[str, Value]]:
        """Accuracy of the front on images and under faults that no choice has seen."""
        data_sets = DataSets(
            await self._upload_split(client, self.data.test, self.config.measure.images, "test"),
            await self._upload_split(client, self.data.test, self.config.faults.images, "test-faults"),
        )
        found = {}
        for evaluation in front:
            content = (self.folder / "models" / f"{evaluation.digests['int8']}.tflite").read_bytes()
            model = await client.put_bytes(content, "model/tflite", f"winner-{evaluation.number}.tflite")
            seed = problem.final_fault_seed(self.config)
            wanted = tasks(self.config, self.campaign_id, self._targets, data_sets, model, None, seed)
            findings = Findings({}, [], {}, {})
            ended = await client.settled(await client.run([task.spec for task in wanted]))
            for task, job in zip(wanted, ended, strict=True):
                findings.add(task, job, self._targets[0])
            found[evaluation.number] = findings.figures
        return found

    # ------------------------------------------------------------------------------------------------ uploads

    async def _upload_data(self, client: Client) -> DataSets:
        validation = self.data.validation
        return DataSets(
            await self._upload_split(client, validation, self.config.measure.images, "validation"),
            await self._upload_split(client, validation, self.config.faults.images, "validation-faults"),
        )

    async def _upload_split(self, client: Client, split: Split, images: int, name: str) -> artifact_pb2.ArtifactRef:
        part = split.head(images)
        pixels = np.ascontiguousarray(part.images.numpy().transpose(0, 2, 3, 1))
        data = dataset.DataSet({"input": pixels}, labels=part.labels.numpy(), meta={"name": f"{self.data.name} {name}"})
        return await self._upload(client, data, name)

    async def _upload_reference(self, client: Client, candidate: Candidate) -> artifact_pb2.ArtifactRef:
        images = self.data.validation.head(_REFERENCE_IMAGES).images
        data = dataset.DataSet(
            {"input": np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1))},
            outputs={candidate.model.output_name: outputs_of(candidate.model, images)},
            meta={"name": "outputs on the host"},
        )
        return await self._upload(client, data, "reference")

    async def _upload(self, client: Client, data: dataset.DataSet, name: str) -> artifact_pb2.ArtifactRef:
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.npz"
            dataset.save(path, data)
            return await client.put_file(path, "dataset/npz")

    # ------------------------------------------------------------------------------------------------ notes

    def _note_devices(self, devices: Sequence[fleet_pb2.Device]) -> None:
        names = {target.device_id or target.device_class for target in self._targets}
        used = [d for d in devices if {d.description.device_id, d.description.device_class} & names]
        self.log.note("devices", [dict(describe(device)) for device in used])

    def _note_stage(self, stage: str, seconds: float) -> None:
        self.log.note("stage", {"stage": stage, "seconds": seconds})

    def _note_time(self) -> None:
        self.log.note("process", {"wall_s": time.monotonic() - self._began})


class _StoppedError(Exception):
    """Somebody asked us to stop, in the middle of an audit."""
