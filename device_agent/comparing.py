"""A comparison's processes: a fresh worker for each, as many as the first of them show to be needed."""

from __future__ import annotations

import math
import re
from typing import Awaitable, Callable, List, Optional

from device_agent.measure import comparison, verdict
from protos.gauntlet.v1 import failure_pb2, worker_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

#: Carries out one process of the comparison; told its number and how many there are to be.
OneProcess = Callable[[int, int], Awaitable[worker_pb2.WorkerResponse]]

_NUMBER = re.compile(r"[\d.]+")


async def compare(spec: pb.MeasurementSpec, one: OneProcess) -> worker_pb2.WorkerResponse:
    """Carry out the comparison of a specification.

    Returns:
        The result of all processes together, with the remarks of each; or the first failure, which names the model.
    """
    asked = spec.comparison
    wanted = first = max(2, int(asked.processes))
    runs: List[pb.ComparisonRun] = []
    whole: Optional[pb.MeasurementResult] = None
    while len(runs) < wanted:
        response = await one(len(runs), wanted)
        if response.HasField("failure"):
            _name_model(response.failure, spec)
            return response
        runs += response.result.comparison.runs
        whole = response.result if whole is None else _joined(whole, response.result)
        if len(runs) == first:
            wanted = verdict.processes_needed([math.log(run.ratio.estimate.value) for run in runs], asked)
    assert whole is not None
    same_model = spec.model.digest == asked.model.digest
    whole.comparison.CopyFrom(verdict.conclude(runs, asked, same_model))
    return worker_pb2.WorkerResponse(result=whole)


def _joined(whole: pb.MeasurementResult, other: pb.MeasurementResult) -> pb.MeasurementResult:
    told, more = whole.provenance, other.provenance
    told.after.CopyFrom(more.after)
    told.worker_s += more.worker_s
    told.host_lock_wait_s += more.host_lock_wait_s
    # The same remark with another number says nothing new.
    known = {_NUMBER.sub("", remark) for remark in told.remarks}
    told.remarks.extend(remark for remark in more.remarks if _NUMBER.sub("", remark) not in known)
    return whole


def _name_model(failure: failure_pb2.Failure, spec: pb.MeasurementSpec) -> None:
    """Say which of the two models it was, as far as the step tells."""
    models = {"A": spec.model.name, "B": spec.comparison.model.name}
    letter = failure.last_step[-1:]
    if failure.last_step[-2:-1] == " " and letter in models:
        failure.message = f"model {letter} ({models[letter]}): {failure.message}"
    elif failure.last_step == comparison.BLOCKS_STEP:
        failure.message = f"while A and B were timed in turn: {failure.message}"
