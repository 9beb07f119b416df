"""Which strategy finds more with the same number of measurements? Statistics over paired seeds.

    hypervolume                                    a run: one strategy with one seed
      1 ┤            target ┄┄┄┄┄┄┄┄●────          its series: hypervolume after each query, never falling
        │                  ▁▃▅▆▇▇▇▇                ● queries to the target
        │           ▂▅▆▇▇▇▇
        └──────────────────────┬───── queries
                             budget

All runs are on one scale (`search.pareto.Scale`) and had one budget. A run that never reached the target is *censored*:
all that is known is that it takes more queries than it had. Such a run counts as infinitely slow where that speaks
against the strategy in question, and as no slower than the queries it had where it speaks against its peer, so that no
ratio flatters. A run that ended before its budget keeps its last hypervolume: a lower bound, since it never falls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fault_injection.precision import mean_and_half_width
from fault_injection.statistics import order_statistic_ranks
from search.errors import SearchError
from search.ranking import Ranking, rank_test

Series = NDArray[np.float64]

CONFIDENCE = 0.95
_RESAMPLES = 10_000
#: Rounding of a hypervolume that was computed anew.
_ROUNDING = 1e-9


class ComparisonError(SearchError):
    """Runs that cannot be compared."""


@dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Attributes:
        value: the mean.
        low: of its 95 % interval (Student's t), within 0-1; None with one seed.
        high: likewise.
    """

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ± {max(self.high - self.value, self.value - self.low):.3f}"


@dataclass(frozen=True)
class Queries:
    """The median of queries over seeds.

    Attributes:
        value: the median; infinite where all that is known is that it is more than `beyond`.
        low: of the interval from order statistics, at least 95 %; None with fewer than six seeds.
        high: likewise; may be infinite.
        beyond: the median if the runs that did not reach the target had done so at their ends.
        reached: seeds that reached it.
        seeds: all of them.
    """

    value: float
    low: float | None
    high: float | None
    beyond: float
    reached: int
    seeds: int

    def __str__(self) -> str:
        value = f"> {self.beyond:.0f}" if math.isinf(self.value) else f"{self.value:.0f}"
        return value + _between(self.low, self.high, ".0f")


@dataclass(frozen=True)
class Ratio:
    """Queries of one strategy over those of another, paired by seed.

    Attributes:
        value: median of the ratios; infinite where most of its own runs never reached the target.
        low: of the 95 % interval, bootstrap over seeds (Efron's percentile method); None with fewer than six.
        high: likewise: the bound on which a claim rests.
    """

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        return _number(self.value, ".2f") + _between(self.low, self.high, ".2f")


@dataclass(frozen=True)
class Comparison:
    """Strategies on one problem.

    Attributes:
        title: what was searched, for people.
        runs: hypervolume after each query, 0-1, by strategy and seed.
        budget: queries that every run had, at least.
        target: hypervolume that counts as found; None: there is none.
        at: queries at which the hypervolume is told; empty: at a quarter of the budget, half of it, and all.
        notes: what a reader has to know, for example whether figures were measured or replayed.
    """

    title: str
    runs: Mapping[str, Mapping[int, Sequence[float] | Series]]
    budget: int
    target: float | None = None
    at: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """Check that the runs can be compared.

        Raises:
            ComparisonError: they cannot; it says what to do.
        """
        if not self.runs or not all(self.runs.values()):
            empty = next((name for name, seeds in self.runs.items() if not seeds), "")
            raise ComparisonError(
                f"there is no run of {empty}" if empty else "there is nothing to compare",
                "run every strategy with at least one seed",
            )
        if self.budget < 1 or any(not 1 <= query <= self.budget for query in self.at):
            raise ComparisonError(
                f"a budget of {self.budget} queries, looked at after {list(self.at)}",
                "give a budget of at least one query, and look within it",
            )
        if self.target is not None and not 0 < self.target <= 1:
            raise ComparisonError(
                f"a target of {self.target:g} is no share of the hypervolume", "give one between 0 and 1"
            )
        if not self.seeds:
            raise ComparisonError("no seed is common to all strategies", "run them with the same seeds")
        for name, seeds in self.runs.items():
            for seed, series in seeds.items():
                _check(np.asarray(series, dtype=np.float64), f"{name}, seed {seed}")

    @property
    def names(self) -> tuple[str, ...]:
        """The strategies, in the order given."""
        return tuple(self.runs)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Those that every strategy ran with: only they are compared, in pairs."""
        return tuple(sorted(set.intersection(*(set(seeds) for seeds in self.runs.values()))))

    @property
    def looks(self) -> tuple[int, ...]:
        """Queries at which the hypervolume is told."""
        return self.at or tuple(sorted({math.ceil(self.budget / 4), math.ceil(self.budget / 2), self.budget}))

    @cached_property
    def curves(self) -> Mapping[str, NDArray[np.float64]]:
        """Hypervolume after each query by strategy: (seeds, budget). A run that ended early keeps its last value."""
        return {
            name: np.array([_stretched(np.asarray(runs[seed], np.float64), self.budget) for seed in self.seeds])
            for name, runs in self.runs.items()
        }

    @property
    def has_intervals(self) -> bool:
        """Are there enough seeds for an interval of a median, at 95 % by order statistics? Six are."""
        return order_statistic_ranks(len(self.seeds), 0.5, CONFIDENCE) is not None

    def remarks(self) -> list[str]:
        """What the runs themselves call for: those that ended early, and seeds that only some strategies have."""
        said = []
        for name in self.names:
            short = sum(len(self.runs[name][seed]) < self.budget for seed in self.seeds)
            if short:
                ended = "1 run" if short == 1 else f"{short} runs"
                said.append(
                    f"{name}: {ended} of {len(self.seeds)} ended before {self.budget} queries and kept what they had"
                )
        alone = set().union(*(set(seeds) for seeds in self.runs.values())) - set(self.seeds)
        if alone:
            said.append(f"left out, for not every strategy has them: seeds {', '.join(map(str, sorted(alone)))}")
        return said

    def band(self, name: str) -> tuple[Series, Series, Series]:
        """Median over seeds after each query, and what encloses it: order statistics at 95 %, all runs below six."""
        ordered = np.sort(self.curves[name], axis=0)
        low, high = order_statistic_ranks(len(ordered), 0.5, CONFIDENCE) or (0, -1)
        return np.median(ordered, axis=0), ordered[low], ordered[high]

    def hypervolume(self, name: str, query: int) -> Mean:
        """Mean hypervolume after so many queries.

        Args:
            name: of the strategy.
            query: 1 to the budget.
        """
        return _mean(self.curves[name][:, query - 1])

    def area(self, name: str) -> Mean:
        """Area under the curve: the mean hypervolume of a search that is broken off anywhere, 0-1."""
        return _mean(self.curves[name].mean(axis=1))

    def queries(self, name: str) -> Queries | None:
        """Queries to the target; None without a target."""
        if self.target is None:
            return None
        found = self._queries(name)
        reached = np.isfinite(found)
        ordered = np.sort(found)
        ranks = order_statistic_ranks(len(ordered), 0.5, CONFIDENCE)
        low, high = (None, None) if ranks is None else (float(ordered[ranks[0]]), float(ordered[ranks[1]]))
        beyond = float(np.median(np.where(reached, found, self._lengths(name))))
        return Queries(float(np.median(found)), low, high, beyond, int(reached.sum()), len(found))

    def ratio(self, name: str, peer: str) -> Ratio | None:
        """How many times the queries of `peer` it takes to the target; None without one."""
        if self.target is None:
            return None
        own, other = self._queries(name), self._queries(peer)
        ratios = own / np.where(np.isfinite(other), other, self._lengths(peer))
        return Ratio(float(np.median(ratios)), *median_interval(ratios))

    def best_peer(self, name: str) -> str | None:
        """Of the others, the one that takes the fewest queries (the larger area if that ties or there is no target)."""

        def badness(peer: str) -> tuple[float, float]:
            queries = self.queries(peer)
            return (queries.value if queries else 0.0, -self.area(peer).value)

        return min((peer for peer in self.names if peer != name), key=badness, default=None)

    @cached_property
    def ranking(self) -> Ranking:
        """Who is better, and whether that could be chance: by queries to the target, by area without one."""
        if self.target is None:
            scores = {name: -self.curves[name].mean(axis=1) for name in self.names}
            return rank_test(scores, "the area under the curve")
        # Who never arrived is behind all that did, and level with others that did not.
        last = 1.0 + max(self._lengths(name).max() for name in self.names)
        scores = {name: np.minimum(self._queries(name), last) for name in self.names}
        return rank_test(scores, f"queries to {share(self.target)} of the hypervolume")

    def _queries(self, name: str) -> Series:
        """By seed; infinite where the target was not reached."""
        return np.array([_first(np.asarray(self.runs[name][seed]), self.target or 0.0) for seed in self.seeds])

    def _lengths(self, name: str) -> Series:
        """Queries that each run had, by seed."""
        return np.array([len(self.runs[name][seed]) for seed in self.seeds], dtype=np.float64)


def median_interval(values: Series, seed: int = 0) -> tuple[float | None, float | None]:
    """95 % interval of the median by bootstrap (Efron's percentile method); values may be infinite.

    Args:
        values: independent ones.
        seed: of the resampling.

    Returns:
        The two ends, each the median of a resample, rounded outwards; (None, None) for fewer than six values, which
        even their extremes would not enclose that surely.
    """
    if order_statistic_ranks(len(values), 0.5, CONFIDENCE) is None:
        return None, None
    random = np.random.default_rng(seed)
    medians = np.median(values[random.integers(len(values), size=(_RESAMPLES, len(values)))], axis=1)
    tail = (1 - CONFIDENCE) / 2
    # Between a number and infinity nothing can be interpolated.
    low = np.quantile(medians, tail, method="lower")
    high = np.quantile(medians, 1 - tail, method="higher")
    return float(low), float(high)


def share(part: float) -> str:
    """0.95 is "95 %"."""
    return f"{100 * part:g} %"


def _number(value: float, form: str) -> str:
    return "∞" if math.isinf(value) else format(value, form)


def _between(low: float | None, high: float | None, form: str) -> str:
    return "" if low is None or high is None or math.isinf(low) else f" ({_number(low, form)}–{_number(high, form)})"


def _check(series: Series, whose: str) -> None:
    if series.ndim != 1 or len(series) == 0:
        raise ComparisonError(f"{whose}: no hypervolume after any query", "leave this run out, or run it")
    if not np.isfinite(series).all() or series.min() < 0 or series.max() > 1 + _ROUNDING:
        raise ComparisonError(f"{whose}: a hypervolume that is no share", "take them all on one scale, 0 to 1")
    if (np.diff(series) < -_ROUNDING).any():
        raise ComparisonError(
            f"{whose}: the hypervolume falls after query {int(np.argmax(np.diff(series) < -_ROUNDING)) + 1}",
            "take the whole series on one scale: that of all runs together",
        )


def _stretched(series: Series, length: int) -> Series:
    return np.concatenate([series, np.full(max(length - len(series), 0), series[-1])])[:length]


def _first(series: Series, target: float) -> float:
    reached = np.flatnonzero(series >= target)
    return float(reached[0] + 1) if len(reached) else math.inf


def _mean(values: Series) -> Mean:
    value, half = mean_and_half_width(values.tolist(), CONFIDENCE)
    if math.isinf(half):
        return Mean(value, None, None)
    return Mean(value, max(value - half, 0.0), min(value + half, 1.0))
