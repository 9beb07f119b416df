"""What is known of a device's fitness, on disk: nothing is lost when the agent dies, and a reboot resets nothing."""

from __future__ import annotations

import datetime
import json
import logging
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

from google.protobuf import json_format

from device_agent.fitness.rules import Baseline
from protos import contract, figures
from protos.gauntlet.v1 import agent_pb2, fitness_pb2

log = logging.getLogger(__name__)

#: Its name in the agent's folder.
FILE = "fitness.json"
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


@dataclass
class Known:
    """What is known of a device.

    Attributes:
        device_id: the device.
        key: conditions of the last check: runtime, version, delegate, model.
        last: the last check; None: there was none.
        floor: noise floor; None: never measured.
        floor_told: did a report carry it?
        unchecked: leases with timed figures, finished since the last check, the oldest first.
        baselines: by conditions.
        reports: to deliver, by the check's id.
    """

    device_id: str
    key: str = ""
    last: Optional[fitness_pb2.FitnessCheck] = None
    floor: Optional[Floor] = None
    floor_told: bool = True
    unchecked: List[str] = field(default_factory=list)
    baselines: Dict[str, Baseline] = field(default_factory=dict)
    reports: Dict[str, agent_pb2.FitnessReport] = field(default_factory=dict)


class History:
    """What is known of a device, kept in a file.

    One that cannot be read is put aside, and a new one begun. Written whole at each change, without fsync: it outlives
    the process, which is what dies.

    Args:
        path: the file.
        device_id: whose history; that of another device is forgotten.

    Attributes:
        known: to read.
    """

    def __init__(self, path: Path, device_id: str) -> None:
        self._path = path
        self.known = Known(device_id)
        try:
            found = read(path)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._put_aside(error)
            return
        if found.device_id == device_id:
            self.known = found
        else:
            log.info("this device was %s: its fitness begins anew as %s", found.device_id, device_id)

    def finished(self, lease_id: str) -> None:
        """A lease has figures that the next check judges."""
        self.known.unchecked = [*self.known.unchecked, lease_id][-_LEASES:]
        self._save()

    def concluded(self, key: str, baseline: Baseline, report: agent_pb2.FitnessReport) -> None:
        """A check judged everything finished before it."""
        baselines = self.known.baselines
        baselines.pop(key, None)
        baselines[key] = baseline
        while len(baselines) > _BASELINES:
            baselines.pop(next(iter(baselines)))
        self.known.key = key
        self.known.unchecked = []
        self.said(report)

    def said(self, report: agent_pb2.FitnessReport) -> None:
        """Keep a report until it is acknowledged; it carries a noise floor that was not told yet."""
        known = self.known
        known.last = report.check
        if known.floor is not None and not known.floor_told:
            report.noise_floor.CopyFrom(_message(known.floor, known.device_id))
            known.floor_told = True
        known.reports[report.check.check_id] = report
        # One that makes results suspect is never dropped.
        for check_id in [c for c, r in known.reports.items() if not r.check.suspect_lease_ids][:-_REPORTS]:
            del known.reports[check_id]
        self._save()

    def measured_floor(self, floor: Floor) -> None:
        """The next report tells it."""
        self.known.floor, self.known.floor_told = floor, False
        self._save()

    def acknowledged(self, check_id: str) -> None:
        """The orchestrator has a report."""
        if self.known.reports.pop(check_id, None) is not None:
            self._save()

    def _save(self) -> None:
        known = self.known
        content = {
            "device_id": known.device_id,
            "key": known.key,
            "last": json_format.MessageToDict(known.last) if known.last else None,
            "floor": asdict(known.floor) if known.floor else None,
            "floor_told": known.floor_told,
            "unchecked": known.unchecked,
            "baselines": {key: asdict(baseline) for key, baseline in known.baselines.items()},
            "reports": [json_format.MessageToDict(report) for report in known.reports.values()],
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


def read(path: Path) -> Known:
    """What a file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it makes no sense.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        device_id = str(kept["device_id"])
        reports = [_report(entry, device_id) for entry in kept["reports"]]
        return Known(
            device_id,
            key=str(kept["key"]),
            last=_report({"check": kept["last"]}, device_id).check if kept["last"] else None,
            floor=Floor(**kept["floor"]) if kept["floor"] else None,
            floor_told=bool(kept["floor_told"]),
            unchecked=[str(lease_id) for lease_id in kept["unchecked"]][-_LEASES:],
            baselines={str(key): _baseline(entry) for key, entry in kept["baselines"].items()},
            reports={report.check.check_id: report for report in reports},
        )
    except (ArithmeticError, LookupError, TypeError, AttributeError, json_format.ParseError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


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
    report = json_format.ParseDict(entry, agent_pb2.FitnessReport())
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
