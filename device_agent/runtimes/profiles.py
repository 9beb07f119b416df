"""From the operators of many inferences to the profile of a typical one."""

from __future__ import annotations

from typing import List, NamedTuple, Sequence

from device_agent.runtimes.base import Operator, Profile, ProfileUnavailable


class Label(NamedTuple):
    """What an operator is, as in `Operator`."""

    kind: str
    name: str
    delegate: str


class Run(NamedTuple):
    """One profiled inference.

    Attributes:
        whole_s: its duration.
        labels: of its operators, in order.
        times_s: of the same.
    """

    whole_s: float
    labels: Sequence[Label]
    times_s: Sequence[float]


def typical(runs: Sequence[Run], source: str, resolution_s: float) -> Profile:
    """The mean over the middle half of the inferences, by duration.

    One that the system interrupted would outweigh all others in a plain mean, and medians of single operators do not
    add up to anything.

    Raises:
        ProfileUnavailable: there are no operators, or not the same in each inference.
    """
    if not runs or not runs[0].labels:
        raise ProfileUnavailable(f"{source} tells of no operators")
    labels = list(runs[0].labels)
    if any(list(run.labels) != labels for run in runs):
        raise ProfileUnavailable(f"{source} does not tell the same operators in each inference")
    ordered: List[Run] = sorted(runs, key=lambda run: run.whole_s)
    middle = ordered[len(runs) // 4 : len(runs) - len(runs) // 4]
    return Profile(
        operators=[
            Operator(label.kind, label.name, label.delegate, sum(run.times_s[place] for run in middle) / len(middle))
            for place, label in enumerate(labels)
        ],
        whole_s=sum(run.whole_s for run in middle) / len(middle),
        source=source,
        resolution_s=resolution_s,
    )
