"""One column of the table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from protos.gauntlet.v1 import job_pb2


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: unique; carries the unit where there is one.
        type: "string", "int", "uint", "float", "bool", "time", "strings", "ints", "floats" or "bools".
        unit: SI, or "1" for a ratio; empty where there is none.
        meaning: one line.
        of: the value of a job; None where it is missing.
    """

    name: str
    type: str
    unit: str
    meaning: str
    of: Callable[[job_pb2.Job], Any]

    def values(self, job: job_pb2.Job) -> dict[str, Any]:
        """The column of a job; what a device reports as infinite or no number is missing."""
        value = self.of(job)
        return {self.name: [_finite(entry) for entry in value] if isinstance(value, list) else _finite(value)}

    def schema(self) -> list[dict[str, str]]:
        """Name, type, unit and meaning."""
        return [{"name": self.name, "type": self.type, "unit": self.unit, "meaning": self.meaning}]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
