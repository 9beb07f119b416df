"""A comparison's processes."""

from __future__ import annotations

from device_agent.measure import comparison, verdict
from device_agent.replicates import OneProcess, in_processes, together
from protos.gauntlet.v1 import failure_pb2, worker_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb


async def compare(spec: pb.MeasurementSpec, one: OneProcess) -> worker_pb2.WorkerResponse:
    """Carry out the comparison of a specification.

    Returns:
        The result of all processes together, with the remarks of each; or the first failure, which names the model.
    """
    asked = spec.comparison
    found = await in_processes(asked, one, lambda result: result.comparison.runs[0].ratio.estimate.value)
    if isinstance(found, failure_pb2.Failure):
        _name_model(found, spec)
        return worker_pb2.WorkerResponse(failure=found)
    whole = together(found)
    runs = [run for result in found for run in result.comparison.runs]
    same_model = spec.model.digest == asked.model.digest
    whole.comparison.CopyFrom(verdict.conclude(runs, asked, same_model))
    return worker_pb2.WorkerResponse(result=whole)


def _name_model(failure: failure_pb2.Failure, spec: pb.MeasurementSpec) -> None:
    """Say which of the two models it was, as far as the step tells."""
    models = {"A": spec.model.name, "B": spec.comparison.model.name}
    letter = failure.last_step[-1:]
    if failure.last_step[-2:-1] == " " and letter in models:
        failure.message = f"model {letter} ({models[letter]}): {failure.message}"
    elif failure.last_step == comparison.BLOCKS_STEP:
        failure.message = f"while A and B were timed in turn: {failure.message}"
