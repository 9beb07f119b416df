"""Carry out a campaign: condition after condition on each device, in jobs of bounded time, from where it was left.

device A ── thread ──►  [ condition 1: patterns 0-29 │ look │ 30-38 │ look … ]  [ condition 2 … ]
device B ── thread ──►  [ … ]                              │
                                                           ▼
                               folder/log.jsonl: each job's outcome, before the next job is asked for
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fault_injection.campaign import Outcomes
from fault_injection.plan import FaultPlan
from gauntlet.errors import MeasurementFailed, UsageError
from gauntlet.faults.plans import outcomes_of, specification, to_message
from gauntlet.faults.result import DeviceResult, Series
from gauntlet.faults.settings import Condition, FaultSettings
from protos.gauntlet.v1 import artifact_pb2, job_pb2
from search.runlog import FILE_NAME, RunLog

if TYPE_CHECKING:
    from gauntlet.api import Lab

_CHUNK = "patterns"


@dataclass(frozen=True)
class Target:
    """What a run of patterns needs besides its plan.

    Attributes:
        name: what it is for, a part of the key by which jobs are found again.
        model: uploaded.
        data: uploaded.
    """

    name: str
    model: artifact_pb2.ArtifactRef
    data: artifact_pb2.ArtifactRef


class Journal:
    """The log of a campaign, for several threads.

    Args:
        folder: of the campaign; made, or continued if it is there.
        about: all that decides the figures; a folder of another campaign is refused.
        software_version: ours.

    Raises:
        UsageError: the folder belongs to another campaign.
        RunLogError: it cannot be used.
    """

    def __init__(self, folder: Path, about: dict[str, Any], software_version: str) -> None:
        if (folder / FILE_NAME).exists():
            self._log = RunLog.open(folder)
            before = dict(self._log.history.about)
            if before != about:
                self._log.close()
                differs = ", ".join(sorted(key for key in about if before.get(key) != about[key])) or "what it is"
                raise UsageError(
                    f"{folder} holds another campaign: it differs in {differs}",
                    "name another folder with --out, or ask for the same as before to continue it",
                )
        else:
            self._log = RunLog.create(folder, software_version, about)
        self._lock = threading.Lock()
        self.chunks: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for entry in self._log.history.notes(_CHUNK):
            self.chunks.setdefault((entry["device"], entry["series"]), []).append(entry)

    def close(self) -> None:
        """Let go of the folder."""
        self._log.close()

    def add(self, entry: dict[str, Any]) -> None:
        """Keep a run of patterns. Returns only when it cannot be lost."""
        with self._lock:
            self._log.note(_CHUNK, entry)
            self.chunks.setdefault((entry["device"], entry["series"]), []).append(entry)


class Runner:
    """Runs patterns on one lab for one campaign.

    Args:
        lab: open.
        settings: what is asked.
        journal: of the campaign.
        campaign: a name under which jobs are found again.
        on_patterns: told of each run of patterns: device, name of the series, patterns so far, wanted at the next look.
    """

    def __init__(
        self,
        lab: Lab,
        settings: FaultSettings,
        journal: Journal,
        campaign: str,
        on_patterns: Callable[[str, str, int, int], None],
    ) -> None:
        self._lab, self._settings, self._journal = lab, settings, journal
        self._campaign = campaign
        self._on_patterns = on_patterns
        self._stopped = threading.Event()
        self._running: set[str] = set()

    def on_devices(self, devices: Sequence[str], work: Callable[[str], None]) -> None:
        """Do work for each device at once; cancels what runs, and ends all of it, when one fails or is interrupted."""
        with ThreadPoolExecutor(max(1, len(devices)), thread_name_prefix="device") as pool:
            futures = [pool.submit(work, device) for device in devices]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._stopped.set()
                self._lab.client.cancel(list(self._running))
                raise

    def series(self, target: Target, device: DeviceResult, condition: Condition) -> Series:
        """Draw patterns until the accuracy is known as precisely as asked, or the cap is met."""
        precision = self._settings.precision
        series = self._begin(target, device, condition)
        while not series.stop:
            drawn = len(series.outcomes)
            look = precision.next_look(drawn)
            self._on_patterns(device.device_id, str(condition.plan.model), drawn, look)
            self._run(series, target, device, look - drawn)
            self._judge(series)
        return series

    def patterns(self, target: Target, device: DeviceResult, condition: Condition, count: int) -> Series:
        """Draw so many patterns."""
        series = self._begin(target, device, condition)
        while len(series.outcomes) < count:
            self._run(series, target, device, count - len(series.outcomes))
        series.stop = "cap"
        return series

    def _begin(self, target: Target, device: DeviceResult, condition: Condition) -> Series:
        """A series as far as the journal has it."""
        series = Series(condition, Outcomes(0, 0.0))
        for entry in self._journal.chunks.get((device.device_id, _name(target, condition)), []):
            series.outcomes.extend(Outcomes.from_dict(entry["outcomes"]))
            series.sites = tuple(entry["sites"])
            device.provenance.update(entry["provenance"])
        self._judge(series)
        return series

    def _judge(self, series: Series) -> None:
        """Has it ended? Precision is judged at planned looks only."""
        precision, drawn = self._settings.precision, len(series.outcomes)
        if drawn and precision.next_look(drawn - 1) == drawn and precision.reached(series.outcomes.accuracies):
            series.stop = "precise"
        elif drawn >= precision.most:
            series.stop = "cap"

    def _run(self, series: Series, target: Target, device: DeviceResult, count: int) -> None:
        first, name = len(series.outcomes), _name(target, series.condition)
        job = self._measure(target, device.device_id, name, series.condition.plan, first, count)
        result = job.result.faults
        outcomes = outcomes_of(result, self._lab.client.get_artifact(result.right_patterns.digest))
        provenance = {
            "class": job.result.provenance.device_class,
            "runtime": f"{job.result.provenance.runtime} {job.result.provenance.runtime_version}",
            "delegate": job.result.provenance.delegate,
            "threads": str(job.result.provenance.threads),
        }
        series.outcomes.extend(outcomes)
        series.sites = tuple(result.sites)
        device.provenance.update(provenance)
        entry = {
            "device": device.device_id,
            "series": name,
            "sites": list(result.sites),
            "provenance": provenance,
            "outcomes": outcomes.to_dict(),
        }
        self._journal.add(entry)

    def _measure(self, target: Target, device: str, name: str, plan: FaultPlan, first: int, count: int) -> job_pb2.Job:
        """The job of a run of patterns: a new one, or the one that an earlier command left."""
        from orchestrator.client import specs

        settings = self._settings
        measurement = specification(
            target.model,
            target.data,
            to_message(plan, first, count),
            runtime=settings.runtime,
            threads=settings.threads,
            delegate=settings.delegate,
            batch=settings.batch,
        )
        key = f"{self._campaign}/{device}/{name}/{first}+{count}"
        for attempt in itertools.count():
            if self._stopped.is_set():
                raise KeyboardInterrupt
            spec = specs.job_spec(measurement, device_id=device, idempotency_key=f"{key}#{attempt}")
            (submitted,) = self._lab.client.submit([spec])
            with self._following(submitted.job_id):
                job = list(self._lab.watch([submitted.job_id]))[-1]
            if job.HasField("result"):
                return job
            # One that an earlier command left may have been cancelled with it, or have failed for its own reasons.
            if submitted.created:
                raise MeasurementFailed(job)
        raise AssertionError("attempts are counted without end")

    @contextmanager
    def _following(self, job_id: str) -> Iterator[None]:
        self._running.add(job_id)
        try:
            yield
        finally:
            self._running.discard(job_id)


def _name(target: Target, condition: Condition) -> str:
    return f"{target.name}/{condition.key}"
