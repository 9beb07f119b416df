"""Do one pattern again, from its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fault_injection.campaign import Outcomes
from fault_injection.errors import FaultError
from fault_injection.replay import FaultRecord
from fault_injection.space import hits
from gauntlet import files
from gauntlet.errors import MeasurementFailed, UsageError
from gauntlet.faults.plans import outcomes_of, specification, to_message

if TYPE_CHECKING:
    from gauntlet.api import Lab

RECORD_MEDIA_TYPE = "faults/npz"
_BATCH = 128


@dataclass(frozen=True)
class Replayed:
    """What a written pattern did.

    Attributes:
        record: the file.
        pattern: its number.
        faults: that it holds.
        outcomes: of the one pattern.
        device_id: where.
    """

    record: FaultRecord
    pattern: int
    faults: int
    outcomes: Outcomes
    device_id: str


def read_record(path: Path) -> FaultRecord:
    """Read a file of faults.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    try:
        return FaultRecord.from_bytes(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "name a file that gauntlet faults has written") from error
    except FaultError as error:
        raise UsageError(f"{path}: {error}", "name a file that gauntlet faults has written") from error


def replay(
    lab: Lab,
    path: Path,
    pattern: int,
    model: Path,
    data: Path,
    device: str = "",
    runtime: str = "",
    delegate: str = "xnnpack",
) -> Replayed:
    """Inject a pattern as it is written; nothing is drawn.

    Args:
        lab: open.
        path: of the file.
        pattern: its number.
        model: that the faults belong to.
        data: the campaign's data set.
        device: id; empty: any.
        runtime: empty: the device's first.
        delegate: the campaign's; others round otherwise.

    Raises:
        UsageError: the file, or a pattern that is not in it.
        MeasurementFailed: the model or the data are others, or the job failed.
    """
    from orchestrator.client import specs

    record = read_record(path)
    if pattern not in record.patterns:
        numbers = sorted(record.patterns)
        have = f"{numbers[0]} to {numbers[-1]}" if numbers else "none"
        raise UsageError(f"{path}: holds no pattern {pattern}", f"it holds {have}")
    client = lab.client
    uploaded = client.put_bytes(path.read_bytes(), RECORD_MEDIA_TYPE, path.name)
    spec = specs.job_spec(
        specification(
            client.put_file(model, files.check_model(model)),
            client.put_file(data, files.DATA_MEDIA_TYPE),
            to_message(record.plan, pattern, 1, uploaded),
            runtime=runtime,
            threads=1,
            delegate=delegate,
            batch=_BATCH,
        ),
        device_id=device,
    )
    job_ids = [submitted.job_id for submitted in client.submit([spec])]
    with lab.cancelling(job_ids):
        job = list(lab.watch(job_ids))[-1]
    if not job.HasField("result"):
        raise MeasurementFailed(job)
    result = job.result.faults
    outcomes = outcomes_of(result, client.get_artifact(result.right_patterns.digest))
    return Replayed(record, pattern, hits(record.patterns[pattern]), outcomes, job.result.provenance.device_id)
