"""Checks of one device: measure the reference model, judge it, remember and report."""

from __future__ import annotations

import datetime
import logging
import statistics
import uuid
from pathlib import Path
from typing import Callable, List, Mapping, NamedTuple, Optional, Protocol

from device_agent.fitness import rules
from device_agent.fitness.history import Floor, History
from device_agent.fitness.reference import Reference, conditions
from device_agent.workers import Outcome
from protos import figures
from protos.gauntlet.v1 import agent_pb2, figure_pb2, fitness_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

log = logging.getLogger(__name__)

Tell = Callable[[agent_pb2.FitnessReport], None]


class Pool(Protocol):
    """Carries out specifications, see `WorkerPool`."""

    async def measure(
        self,
        spec: pb.MeasurementSpec,
        paths: Mapping[str, Path],
        on_step: Callable[[str], None] = ...,
        *,
        fresh: bool = ...,
    ) -> Outcome:
        """Carry one out."""


class _FailedError(Exception):
    """The reference model could not be measured; says why."""


class _Process(NamedTuple):
    median_s: figure_pb2.Figure
    ran: pb.Provenance


class Checker:
    """Checks a device.

    Args:
        device_id: whose checks.
        reference: the model.
        pool: measures it.
        history: remembers.
        tell: told of each report.
        now: the time of day, in UTC.
    """

    def __init__(
        self,
        device_id: str,
        reference: Reference,
        pool: Pool,
        history: History,
        tell: Tell,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.timezone.utc),
    ) -> None:
        self.history = history
        self._device_id = device_id
        self._reference = reference
        self._pool = pool
        self._tell = tell
        self._now = now

    @property
    def able(self) -> bool:
        """Can the reference model be measured here at all?"""
        return not self._reference.unavailable

    async def check(self, occasion: str) -> fitness_pb2.FitnessVerdict:
        """Make a check, and report what it found, whatever that is."""
        report = agent_pb2.FitnessReport()
        check = report.check
        check.check_id = uuid.uuid4().hex
        check.device_id = self._device_id
        check.occasion = occasion
        try:
            processes = [await self._process()]
            key = conditions(self._device_id, processes[0].ran)
            baseline = self.history.known.baselines.get(key)
            if rules.doubtful(_seconds(processes[0]), baseline):
                processes += [await self._process() for _ in range(rules.PROCESSES - 1)]
        except _FailedError as error:
            check.checked_at = self._stamp()
            check.verdict = fitness_pb2.FITNESS_VERDICT_UNAVAILABLE
            check.reason = str(error)
            check.reference_s.CopyFrom(figures.unavailable(check.reason))
            check.expected_s.CopyFrom(figures.unavailable("nothing to compare it with"))
            self.history.said(report)
        else:
            check.checked_at = self._stamp()
            self._judge(report, key, processes)
        level = logging.INFO if check.verdict in _CALM else logging.WARNING
        log.log(level, "fitness of %s, %s: %s", self._device_id, occasion, check.reason)
        self._tell(report)
        return check.verdict

    async def measure_floor(self) -> bool:
        """Compare the reference model with itself; the next check's report tells the noise floor that this gives."""
        outcome = await self._pool.measure(self._reference.noise_floor(), self._reference.paths)
        outcome.discard()
        floor = figures.value_of(outcome.result.comparison.measured_noise_floor) if outcome.result is not None else None
        if outcome.result is None or floor is None:
            log.warning("the noise floor could not be measured: %s", _why(outcome))
            return False
        result = outcome.result
        processes = len(result.comparison.runs)
        key = conditions(self._device_id, result.provenance)
        self.history.measured_floor(Floor(floor, processes, self._stamp(), key))
        log.info("noise floor of %s: %.2g %%", self._device_id, 100 * floor)
        return True

    def floor(self) -> Optional[Floor]:
        """The noise floor under the conditions of the last check, if it was measured."""
        floor = self.history.known.floor
        return floor if floor is not None and floor.key == self.history.known.key else None

    def floor_age_s(self) -> float:
        """Seconds since the noise floor was measured; infinite if it was not, or at a time that is still to come."""
        floor = self.floor()
        if floor is None:
            return float("inf")
        age_s = (self._now() - datetime.datetime.fromisoformat(floor.measured_at)).total_seconds()
        return age_s if age_s >= 0 else float("inf")

    async def _process(self) -> _Process:
        """Measure in a process of its own: where it lies in memory is new luck."""
        if self._reference.unavailable:
            raise _FailedError(self._reference.unavailable)
        outcome = await self._pool.measure(self._reference.latency(), self._reference.paths, fresh=True)
        outcome.discard()
        level_s = figures.value_of(outcome.result.latency.median_s) if outcome.result is not None else None
        if outcome.result is None or level_s is None or not level_s > 0:
            raise _FailedError(f"the reference model could not be measured: {_why(outcome)}")
        return _Process(outcome.result.latency.median_s, outcome.result.provenance)

    def _judge(self, report: agent_pb2.FitnessReport, key: str, processes: List[_Process]) -> None:
        check, history = report.check, self.history
        baseline = history.known.baselines.get(key)
        level_s = statistics.median([_seconds(process) for process in processes])
        one = len(processes) == 1
        check.reference_s.CopyFrom(processes[0].median_s if one else figures.measured(level_s, len(processes)))
        judgement = rules.judge(level_s, baseline, check.checked_at, bool(history.known.unchecked))
        check.verdict, check.reason = judgement.verdict, judgement.reason
        if judgement.expected_s is None:
            check.expected_s.CopyFrom(figures.unavailable("nothing to compare it with"))
            if history.known.unchecked:
                check.reason += f"; results since the last one ({len(history.known.unchecked)}) can no longer be judged"
        else:
            check.expected_s.CopyFrom(figures.measured(judgement.expected_s))
            check.shift = level_s / judgement.expected_s - 1
        if judgement.suspect:
            check.suspect_lease_ids.extend(history.known.unchecked)
        if judgement.verdict not in _CALM:
            check.reason = "; ".join([check.reason, *processes[-1].ran.remarks])
        history.concluded(key, judgement.baseline, report)

    def _stamp(self) -> str:
        return self._now().isoformat(timespec="seconds")


_CALM = (fitness_pb2.FITNESS_VERDICT_GOOD, fitness_pb2.FITNESS_VERDICT_BASELINE)


def _seconds(process: _Process) -> float:
    return process.median_s.estimate.value


def _why(outcome: Outcome) -> str:
    return outcome.failure.message if outcome.failure is not None else "the result holds no figure"
