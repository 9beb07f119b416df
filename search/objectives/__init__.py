"""What a search is after: named quantities with a direction, and bounds that must hold.

The text form is `QUANTITY[@DEVICE][@FAULT]`:

    accuracy                      on clean hardware
    accuracy@iBF(p=0.001)         under a fault condition
    latency_s@pi4                 on a device
    accuracy@pi4@iBF(p=0.001)     on a device, under a fault condition
    macs                          of the architecture alone

or an aggregate over devices, each cost as a share of its reference in SI units:

    worst(latency_s@pi4/0.02, latency_s@pixel3/0.01)
    average(0.7*latency_s@pi4/0.02, 0.3*latency_s@pixel3/0.01)

A fault condition is told from a device by its parentheses. What stands in them is `fault_injection`'s business: here
it is only a name, made canonical by the function that the caller gives.
"""

from search.objectives.aggregates import Aggregate, derived, parse_quantity
from search.objectives.goals import Constraint, Objective, check_consistent, total_violation
from search.objectives.quantities import (
    STATIC_QUANTITIES,
    Canonical,
    Direction,
    Quantity,
    undeliverable,
    without_spaces,
)

__all__ = [
    "STATIC_QUANTITIES",
    "Aggregate",
    "Canonical",
    "Constraint",
    "Direction",
    "Objective",
    "Quantity",
    "check_consistent",
    "derived",
    "parse_quantity",
    "total_violation",
    "undeliverable",
    "without_spaces",
]
