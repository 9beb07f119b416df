"""When a search has done enough. Pure: what was spent and found so far goes in, a reason or none comes out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search.errors import SearchError
from search.evaluations import Evaluation
from search.objectives import Constraint, Objective
from search.pareto import Scale, feasible_points, hypervolume


class StopError(SearchError):
    """A rule that cannot be meant."""


@dataclass(frozen=True)
class Progress:
    """A search so far.

    Attributes:
        evaluations: in the order of telling; each is a query, failures included.
        objectives: of the search.
        constraints: of the search.
        device_s: seconds that devices spent on it.
        energy_j: joules that devices measured; 0 where none has a meter, so that a bound never holds there.
    """

    evaluations: Sequence[Evaluation]
    objectives: Sequence[Objective]
    constraints: Sequence[Constraint] = ()
    device_s: float = 0.0
    energy_j: float = 0.0


@dataclass(frozen=True)
class Plateau:
    """The front no longer grows.

    The gain is that of the hypervolume on the scale of the front there is now (`search.pareto.Scale`), so that neither
    units nor distant outliers matter. A search that has found nothing yet stands on no plateau.

    Attributes:
        queries: the last ones, that are looked at.
        gain: of the hypervolume, 0-1, that they have to exceed.
    """

    queries: int
    gain: float

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            StopError: no search could stop by them, or every one would.
        """
        if self.queries < 1 or not 0 <= self.gain < 1:
            raise StopError(
                f"a plateau of {self.queries} queries with a gain of {self.gain:g}",
                "take at least one query, and a gain of at least 0 and below 1, for example 0.002",
            )

    def gained(self, progress: Progress) -> float | None:
        """Hypervolume that the last queries added, 0-1; None if there are no more than these, or no front before."""
        before, now = (
            feasible_points(told, progress.objectives, progress.constraints)
            for told in (progress.evaluations[: -self.queries], progress.evaluations)
        )
        if len(before) == 0:
            return None
        scale = Scale.of(now)
        return hypervolume(now, scale) - hypervolume(before, scale)


@dataclass(frozen=True)
class StopRules:
    """Bounds, of which the first that is reached ends a search; None: there is none.

    Attributes:
        queries: candidates told, failures included.
        device_s: seconds on devices.
        energy_j: joules that devices measured.
        plateau: a front that no longer grows.
    """

    queries: int | None = None
    device_s: float | None = None
    energy_j: float | None = None
    plateau: Plateau | None = None

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            StopError: one that ends a search before it begins, or is no number.
        """
        for name in ("queries", "device_s", "energy_j"):
            bound = getattr(self, name)
            if bound is not None and not (bound > 0 and math.isfinite(bound)):
                raise StopError(f"stop: {name}: {bound:g}", "give a number above 0, or leave the rule out")

    def check(self, progress: Progress) -> str | None:
        """Why the search has done enough, in words; None while it has not."""
        return next(self._reached(progress), None)

    def _reached(self, progress: Progress) -> Iterator[str]:
        told = len(progress.evaluations)
        if self.queries is not None and told >= self.queries:
            yield f"{told:,} queries were made, of {self.queries:,} allowed"
        if self.device_s is not None and progress.device_s >= self.device_s:
            yield f"devices worked for {progress.device_s:,.0f} s, of {self.device_s:,.0f} s allowed"
        if self.energy_j is not None and progress.energy_j >= self.energy_j:
            yield f"devices used {progress.energy_j:,.4g} J, of {self.energy_j:,.4g} J allowed"
        if self.plateau is not None:
            gained = self.plateau.gained(progress)
            if gained is not None and gained <= self.plateau.gain:
                yield (
                    f"the last {self.plateau.queries:,} queries raised the hypervolume by {gained:.2g}, "
                    f"not by more than {self.plateau.gain:g}"
                )
