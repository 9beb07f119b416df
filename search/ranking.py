"""Who is better, seed by seed, and could that be chance? Friedman's test, and Wilcoxon's for pairs by Holm's method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: What is less likely by chance is called a difference.
_CHANCE = 0.05


@dataclass(frozen=True)
class Pair:
    """Two strategies, told apart or not.

    Attributes:
        better: the one with the better ranks.
        worse: the other.
        p: of Wilcoxon's signed-rank test over seeds, two-sided, by Holm's method for all pairs.
    """

    better: str
    worse: str
    p: float


@dataclass(frozen=True)
class Ranking:
    """Ranks within each seed, 1 the best, ties share theirs.

    Attributes:
        of: what was ranked, in words.
        mean_rank: over seeds, by strategy, best first.
        p: of Friedman's test that all are alike; None for two strategies or one seed.
        pairs: every two strategies; none with one seed.
        seeds: that were ranked.
    """

    of: str
    mean_rank: Mapping[str, float]
    p: float | None
    pairs: tuple[Pair, ...]
    seeds: int

    def sentences(self) -> list[str]:
        """What the tests say, for people; nothing of a strategy alone."""
        if len(self.mean_rank) < 2:
            return []
        best = next(iter(self.mean_rank))
        order = ", ".join(f"{name} {rank:.2g}" for name, rank in self.mean_rank.items())
        said = [f"Mean ranks over {self.seeds} seeds by {self.of}: {order}."]
        if self.p is not None:
            verdict = "differ" if self.p < _CHANCE else "are not told apart"
            said.append(f"Together the strategies {verdict} (Friedman, {_chance(self.p)}).")
        if 2 * 0.5**self.seeds * max(len(self.pairs), 1) >= _CHANCE:
            return [*said, f"{self.seeds} seeds are too few to tell {len(self.mean_rank)} strategies apart in pairs."]
        mine = [pair for pair in self.pairs if pair.better == best]
        for words, told in (("is better than", True), ("is not told apart from", False)):
            some = [f"{pair.worse} ({_chance(pair.p)})" for pair in mine if (pair.p < _CHANCE) is told]
            if some:
                said.append(f"{best} {words} {', '.join(some)}.")
        return [*said, "Pairs by Wilcoxon's signed ranks, corrected by Holm's method for all of them."]


def rank_test(scores: Mapping[str, NDArray[np.float64]], of: str) -> Ranking:
    """Friedman's test over seeds (1937), and Wilcoxon's signed-rank test (1945) for every pair by Holm's method (1979).

    Args:
        scores: one finite number for each seed, by strategy, smaller better.
        of: what they are, in words.
    """
    from scipy import stats  # half a second to load

    names = list(scores)
    table = np.array([scores[name] for name in names])
    means = dict(zip(names, stats.rankdata(table, axis=0).mean(axis=1).tolist(), strict=True))
    ordered = sorted(names, key=means.__getitem__)
    alike = bool((table == table[0]).all())
    seeds = table.shape[1]
    p = None
    if len(names) > 2 and seeds > 1:
        p = 1.0 if alike else float(stats.friedmanchisquare(*table).pvalue)
    found: list[Pair] = []
    for place, better in enumerate(ordered if seeds > 1 else []):
        for worse in ordered[place + 1 :]:
            difference = scores[better] - scores[worse]
            chance = 1.0 if not difference.any() else float(stats.wilcoxon(difference).pvalue)
            found.append(Pair(better, worse, chance))
    corrected = holm([pair.p for pair in found])
    pairs = tuple(Pair(pair.better, pair.worse, p) for pair, p in zip(found, corrected, strict=True))
    return Ranking(of, {name: means[name] for name in ordered}, p, pairs, seeds)


def holm(chances: Sequence[float]) -> list[float]:
    """P values of several tests, so that one in twenty families has a false one below 0.05 (Holm 1979).

    Args:
        chances: p values, each for itself.

    Returns:
        The same in the same order, none smaller than before.
    """
    corrected = [0.0] * len(chances)
    most = 0.0
    for place, index in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        most = max(most, min(1.0, (len(chances) - place) * chances[index]))
        corrected[index] = most
    return corrected


def _chance(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
