"""What is known of a device's fitness, on disk: nothing is lost when the agent dies, and a reboot resets nothing."""

from __future__ import annotations

import datetime
import json
import logging
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

from google.protobuf import json_format

from device_agent.fitness.rules import Baseline
from protos import contract, figures
from protos.gauntlet.v1 import agent_pb2, fitness_pb2

log = logging.getLogger(__name__)

#: The newest of each are kept.
_BASELINES = 8
_LEASES = 1_000
_REPORTS = 100


@dataclass(frozen=True)
class Floor:
    """A noise floor that was measured here.

    Attributes:
        share: of 1.
        processes: behind it.
        measured_at: UTC, RFC 3339.
        key: conditions of the reference model, as of a baseline.
    """

    share: float
    processes: int
    measured_at: str
    key: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.share) and self.share >= 0):
            raise ValueError(f"{self.share} is no noise floor")
        if datetime.datetime.fromisoformat(self.measured_at).tzinfo is None:
            raise ValueError(f"{self.measured_at} names no time zone")


class History:
    """A device's baselines, the leases finished since its last check, its noise floor, and reports to deliver.

    A file that cannot be read is put aside, and a new one begun. Written whole at each change, without fsync: it
    outlives the process, which is what dies.

    Args:
        path: the file.
        device_id: whose history; that of another device is forgotten.

    Attributes:
        unchecked: leases with timed figures, finished since the last check, the oldest first.
        key: conditions of the last check: runtime, version, delegate, model.
        floor: noise floor; None: never measured.
        last: the last check; None: there was none.
    """

    def __init__(self, path: Path, device_id: str) -> None:
        self._path = path
        self._device_id = device_id
        self.unchecked: List[str] = []
        self.key = ""
        self.floor: Optional[Floor] = None
        self.last: Optional[fitness_pb2.FitnessCheck] = None
        self._floor_told = True
        self._baselines: Dict[str, Baseline] = {}
        self._reports: Dict[str, agent_pb2.FitnessReport] = {}
        try:
            self._read()
        except FileNotFoundError:
            pass
        except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
            self._put_aside(error)

    def baseline(self, key: str) -> Optional[Baseline]:
        """What a check under these conditions is compared with."""
        return self._baselines.get(key)

    def finished(self, lease_id: str) -> None:
        """A lease has figures that the next check judges."""
        self.unchecked = [*self.unchecked, lease_id][-_LEASES:]
        self._save()

    def concluded(self, key: str, baseline: Baseline, report: agent_pb2.FitnessReport) -> None:
        """A check judged everything finished before it."""
        self._baselines.pop(key, None)
        self._baselines[key] = baseline
        while len(self._baselines) > _BASELINES:
            self._baselines.pop(next(iter(self._baselines)))
        self.key = key
        self.unchecked = []
        self.said(report)

    def said(self, report: agent_pb2.FitnessReport) -> None:
        """Keep a report until it is acknowledged; it carries a noise floor that was not told yet."""
        self.last = report.check
        if self.floor is not None and not self._floor_told:
            report.noise_floor.CopyFrom(_message(self.floor, self._device_id))
            self._floor_told = True
        self._reports[report.check.check_id] = report
        for check_id in [c for c, r in self._reports.items() if not r.check.suspect_lease_ids][:-_REPORTS]:
            del self._reports[check_id]
        self._save()

    def measured_floor(self, floor: Floor) -> None:
        """The next report tells it."""
        self.floor, self._floor_told = floor, False
        self._save()

    def reports(self) -> Dict[str, agent_pb2.FitnessReport]:
        """What waits for an acknowledgement, by the check's id, the oldest first."""
        return dict(self._reports)

    def acknowledged(self, check_id: str) -> None:
        """The orchestrator has it."""
        if self._reports.pop(check_id, None) is not None:
            self._save()

    def _read(self) -> None:
        kept = json.loads(self._path.read_text(encoding="utf-8"))
        if kept["device_id"] != self._device_id:
            log.info("this device was %s: its fitness begins anew as %s", kept["device_id"], self._device_id)
            return
        # Everything is read before anything is believed.
        baselines = {str(key): _baseline(entry) for key, entry in kept["baselines"].items()}
        reports = [_report(entry, self._device_id) for entry in kept["reports"]]
        floor = Floor(**kept["floor"]) if kept["floor"] else None
        last = _report({"check": kept["last"]}, self._device_id).check if kept["last"] else None
        self.unchecked = [str(lease_id) for lease_id in kept["unchecked"]][-_LEASES:]
        self.key, self.last, self.floor, self._floor_told = str(kept["key"]), last, floor, bool(kept["floor_told"])
        self._baselines = baselines
        self._reports = {report.check.check_id: report for report in reports}

    def _save(self) -> None:
        content = {
            "device_id": self._device_id,
            "key": self.key,
            "baselines": {key: asdict(baseline) for key, baseline in self._baselines.items()},
            "unchecked": self.unchecked,
            "floor": asdict(self.floor) if self.floor else None,
            "floor_told": self._floor_told,
            "last": json_format.MessageToDict(self.last) if self.last else None,
            "reports": [json_format.MessageToDict(report) for report in self._reports.values()],
        }
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
            os.replace(temporary, self._path)
        except OSError as error:
            log.error("what is known of this device's fitness is lost if this agent dies: %s", error)

    def _put_aside(self, error: Exception) -> None:
        aside = self._path.with_suffix(".broken")
        log.warning("cannot read %s (%s): put aside as %s; a new baseline begins", self._path, error, aside.name)
        try:
            os.replace(self._path, aside)
        except OSError as trouble:
            log.warning("%s cannot be put aside: %s", self._path, trouble)


def _baseline(entry: Dict[str, Any]) -> Baseline:
    recent_s = tuple(_seconds(value) for value in entry["recent_s"])
    if not recent_s:
        raise ValueError("a baseline without a level")
    shifted_s = None if entry["shifted_s"] is None else _seconds(entry["shifted_s"])
    return Baseline(_seconds(entry["first_s"]), str(entry["since"]), recent_s, shifted_s)


def _seconds(value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{value} is no duration")
    return float(value)


def _report(entry: Dict[str, Any], device_id: str) -> agent_pb2.FitnessReport:
    """A report that is kept; an orchestrator refuses an agent that reports nonsense, for as long as it does."""
    try:
        report = json_format.ParseDict(entry, agent_pb2.FitnessReport())
    except json_format.ParseError as error:
        raise ValueError(str(error)) from error
    check = report.check
    datetime.datetime.fromisoformat(check.checked_at)
    shifted = check.verdict == fitness_pb2.FITNESS_VERDICT_SHIFTED
    if not contract.is_id(check.check_id) or check.device_id != device_id or not check.verdict:
        raise ValueError(f"no check of {device_id}")
    if not math.isfinite(check.shift) or (shifted and not check.HasField("shift")):
        raise ValueError(f"{check.shift} is no shift")
    return report


def _message(floor: Floor, device_id: str) -> fitness_pb2.NoiseFloor:
    return fitness_pb2.NoiseFloor(
        device_id=device_id, floor=figures.measured(floor.share, floor.processes), measured_at=floor.measured_at
    )
