"""What goes wrong, in words for people: what, where, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protos.gauntlet.v1 import job_pb2


class GauntletError(Exception):
    """Anything that ends a command with one clear line.

    Attributes:
        message: one line: what is wrong, and where.
        remedy: one line: what to do about it; may be empty.
        detail: further lines for whoever looks closer, such as the end of a log.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.detail = detail


class UsageError(GauntletError):
    """Asked wrongly: refused before anything was started."""

    exit_code = 2


class LabError(GauntletError):
    """The embedded lab did not start, or ended."""


class MeasurementFailed(GauntletError):  # noqa: N818  # reads as what it is: `except MeasurementFailed`
    """A job that ended without a result.

    Attributes:
        job: the job with its attempts and its failure.
    """

    def __init__(self, job: job_pb2.Job) -> None:
        from protos.blame import kind_name

        failure = job.failure
        name = job.spec.measurement.model.name
        super().__init__(f"{name}: {kind_name(failure.kind)}: {failure.message}", failure.remedy)
        self.job = job
