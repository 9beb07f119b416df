"""The one exception of the measuring side: a job that cannot have a result, and why."""

from __future__ import annotations

from protos.gauntlet.v1 import failure_pb2 as pb

#: Longest message kept; a runtime may repeat itself for every tensor of a file.
MAX_MESSAGE_CHARS = 600


class MeasurementError(Exception):
    """A job ends without a result.

    Attributes:
        kind: decides whose fault it is (`protos.blame`).
        message: one line, in the words of the part that failed.
        remedy: what a person can do about it; may be empty.
    """

    def __init__(self, kind: pb.FailureKind, message: str, remedy: str = "") -> None:
        self.kind = kind
        self.message = one_line(message)
        self.remedy = remedy
        super().__init__(self.message)

    def to_message(self) -> pb.Failure:
        """The failure as it travels."""
        return pb.Failure(kind=self.kind, message=self.message, remedy=self.remedy)


def one_line(text: str) -> str:
    """`text` on one line, cut where it goes on for too long."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"
