"""Measurements in several processes: a fresh worker for each, as many as the first of them show to be needed.

    latency:      │ MEASURE: all that was asked │ LATENCY │ LATENCY │ …
    comparison:   │ COMPARE │ COMPARE │ …

The first process of a latency is a process like the others; accuracy, energy and faults are measured in it alone.
"""

from __future__ import annotations

import math
import re
from typing import Awaitable, Callable, List, Sequence, Union

from device_agent.measure import processes
from protos.gauntlet.v1 import failure_pb2, worker_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

#: Carries out one process; told its number and how many there are to be.
OneProcess = Callable[[int, int], Awaitable[worker_pb2.WorkerResponse]]

_NUMBER = re.compile(r"[\d.]+")


async def in_processes(
    asked: processes.Asked, one: OneProcess, figure: Callable[[pb.MeasurementResult], float]
) -> Union[List[pb.MeasurementResult], failure_pb2.Failure]:
    """Carry out as many processes as it takes.

    Args:
        asked: the first stage, the cap and the precision.
        one: a process.
        figure: what the spread between processes is looked at of, above 0.

    Returns:
        The result of each, at least of the first stage, with a remark in the first one where the later processes
        contradict it; or the first failure.
    """
    wanted = first = processes.first_stage(asked)
    results: List[pb.MeasurementResult] = []
    while len(results) < wanted:
        response = await one(len(results), wanted)
        if response.HasField("failure"):
            return response.failure
        results.append(response.result)
        if len(results) == first:
            wanted = processes.processes_needed([math.log(figure(result)) for result in results], asked)
    remark = processes.outgrown([math.log(figure(result)) for result in results], asked)
    if remark:
        results[0].provenance.remarks.append(remark)
    return results


async def repeat_latency(spec: pb.MeasurementSpec, one: OneProcess) -> worker_pb2.WorkerResponse:
    """Carry out a specification whose latency is asked for in several processes.

    Args:
        spec: what was asked.
        one: the first process carries out all of it, the others what `latency_alone` leaves.

    Returns:
        The result of the first process with the latency of all, and the remarks of each; or the first failure.
    """
    found = await in_processes(spec.latency, one, lambda result: result.latency.median_s.estimate.value)
    if isinstance(found, failure_pb2.Failure):
        return worker_pb2.WorkerResponse(failure=found)
    whole = together(found)
    whole.latency.CopyFrom(processes.join_latencies([result.latency for result in found], spec.latency))
    return worker_pb2.WorkerResponse(result=whole)


def latency_alone(spec: pb.MeasurementSpec) -> pb.MeasurementSpec:
    """What the processes after the first are asked for: nothing but load, first inference and steady state."""
    alone = pb.MeasurementSpec(model=spec.model, runtime=spec.runtime, latency=spec.latency, timeout_s=spec.timeout_s)
    for name in ("setup", "throttle"):
        if spec.HasField(name):
            getattr(alone, name).CopyFrom(getattr(spec, name))
    return alone


def together(results: Sequence[pb.MeasurementResult]) -> pb.MeasurementResult:
    """The first result with the provenance of all."""
    whole = pb.MeasurementResult()
    whole.CopyFrom(results[0])
    for other in results[1:]:
        add_provenance(whole.provenance, other.provenance)
    whole.provenance.after.CopyFrom(results[-1].provenance.after)
    return whole


def add_provenance(told: pb.Provenance, more: pb.Provenance) -> None:
    """Add what another worker took and remarked; the same remark with another number says nothing new."""
    told.worker_s += more.worker_s
    told.host_lock_wait_s += more.host_lock_wait_s
    for known, others in ((told.remarks, more.remarks), (told.unfit, more.unfit)):
        words = {_NUMBER.sub("", text) for text in known}
        known.extend(text for text in others if _NUMBER.sub("", text) not in words)
