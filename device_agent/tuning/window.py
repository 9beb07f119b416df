"""The set-up of a job around its timed window, in the words of measurements."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Optional

from device_agent.errors import MeasurementError
from device_agent.tuning.system import SetupRefusedError
from device_agent.tuning.tuner import ALLOW_REMEDY, NOT_ALLOWED, Tuner
from protos.gauntlet.v1 import failure_pb2, measurement_pb2, setup_pb2


@contextmanager
def set_up(
    tuner: Optional[Tuner], spec: measurement_pb2.MeasurementSpec, provenance: measurement_pb2.Provenance
) -> Iterator[None]:
    """Within the block the device is as the job asks, and the provenance says so.

    Args:
        tuner: None where the agent's owner does not permit it.
        spec: the job's.
        provenance: to be completed.

    Raises:
        MeasurementError: not permitted, not possible, or not undone.
    """
    if not spec.HasField("setup"):
        yield
        return
    changes = setup_pb2.DeviceSetup()
    changes.CopyFrom(spec.setup)
    changes.ClearField("cores")
    if changes == setup_pb2.DeviceSetup():
        # Cores are chosen by whoever pins; the provenance names them.
        provenance.setup.asked.CopyFrom(spec.setup)
        yield
        return
    if tuner is None:
        raise unfit(SetupRefusedError(NOT_ALLOWED, ALLOW_REMEDY))
    try:
        with tuner.held(spec.setup) as report:
            provenance.setup.CopyFrom(report)
            yield
    except SetupRefusedError as error:
        raise unfit(error) from error


def unfit(error: SetupRefusedError) -> MeasurementError:
    """A refusal as the failure of a job: another device may do it."""
    return MeasurementError(failure_pb2.FAILURE_KIND_DEVICE_UNFIT, error.message, error.remedy)
