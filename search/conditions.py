"""Fault conditions as a search names them: those that Gauntlet injects, and those that only a recorded table knows."""

from __future__ import annotations

from fault_injection.errors import InvalidFaultModelError
from fault_injection.models import FaultModel
from fault_injection.models import parse as parse_fault
from search.objectives import without_spaces


def fault_model(condition: str) -> FaultModel | None:
    """What strikes; None for a condition that Gauntlet cannot inject, such as a chip's drift."""
    try:
        return parse_fault(condition)
    except InvalidFaultModelError:
        return None


def canonical_condition(condition: str) -> str:
    """The one text of a fault condition. One that Gauntlet cannot inject is kept as it is."""
    model = fault_model(condition)
    return without_spaces(condition) if model is None else str(model)
