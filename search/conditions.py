"""Fault conditions as a search names them: those that Gauntlet injects, and those that only a recorded table knows."""

from __future__ import annotations

from collections.abc import Iterable

from fault_injection.errors import InvalidFaultModelError
from fault_injection.models import FaultModel, Place
from fault_injection.models import parse as parse_fault
from search.objectives import without_spaces
from search.spaces.storage import PRECISIONS


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


def unfit_for(condition: str, precisions: Iterable[str]) -> str:
    """Why a condition does not strike all networks alike that are stored so; empty if it does.

    Args:
        condition: of faults.
        precisions: keys of :data:`~search.spaces.storage.PRECISIONS`.
    """
    model = fault_model(condition)
    if model is None:
        return ""
    place = model.places[0]
    for precision in precisions:
        _, weights, values = PRECISIONS[precision]
        if model.dtype_bits != (weights if place is Place.WEIGHTS else values):
            return (
                f"{condition} strikes {place.value} of {model.dtype_bits} bits, of which {precision} has none, and "
                f"would look immune: leave out {precision} or the condition"
            )
    return ""
