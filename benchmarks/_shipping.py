"""Does every strategy that a campaign can name beat random search? One that does not is left out.

Run: ``python -m benchmarks._shipping [--seeds 20] [--queries 200] [NAME …]``

On two tables that the project's figures are not taken from, in batches of 20, with paired seeds: the share of the true
hypervolume, or the best of TuNAS's rewards at the median of the first device's latency, less that of random search; the
mean difference, with Student's 95 % interval. A strategy ships if the interval lies above zero on both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks._lab import DATA
from benchmarks._report import Report, Row, Table, show
from benchmarks._stats import mean_interval
from benchmarks._yardstick import TUNING, Problem
from search.evaluations import Evaluation
from search.rewards import parse_reward
from search.strategies.registry import STRATEGIES, make

#: Adapters are as many strategies as they have methods.
METHODS: Mapping[str, Sequence[Mapping[str, str]]] = {
    "optuna": [{"sampler": name} for name in ("tpe", "nsgaii", "nsgaiii")],
    "pymoo": [{"algorithm": name} for name in ("nsga2", "nsga3", "unsga3", "sms")],
}
_BATCH = 20


class Judged:
    """A problem, with what its runs are worth.

    Args:
        problem: to search.
        queries: of each run.
    """

    def __init__(self, problem: Problem, queries: int) -> None:
        self.problem = problem
        self._queries = queries
        cost = problem.objectives[1].name
        known = [value for e in problem.evaluations if (value := e.value(cost).value) is not None]
        self.reward = {"kind": "tunas", "cost": cost, "target": float(np.median(known))}
        self._reward_of = parse_reward(self.reward)
        self._random: dict[int, Sequence[Evaluation]] = {}

    def gain(self, name: str, settings: Mapping[str, Any], seed: int) -> float:
        """Worth of a run, less that of random search with the same seed."""
        if seed not in self._random:
            self._random[seed] = self._told("random", {}, seed)
        single = STRATEGIES[name].single
        told = self._told(name, {**settings, "reward": self.reward} if single else settings, seed)
        return self._worth(told, single) - self._worth(self._random[seed], single)

    def _told(self, name: str, settings: Mapping[str, Any], seed: int) -> Sequence[Evaluation]:
        strategy = make(name, self.problem.space, self.problem.objectives, seed=seed, settings=settings)
        for first in range(0, self._queries, _BATCH):
            batch = strategy.ask(min(_BATCH, self._queries - first))
            strategy.tell([self.problem.evaluate(number, a) for number, a in enumerate(batch, first)])
        return strategy.evaluations

    def _worth(self, told: Sequence[Evaluation], single: bool) -> float:
        if not single:
            return self.problem.hypervolume(told)
        return max(reward for e in told if (reward := self._reward_of(e)) is not None)


def run(names: Sequence[str], seeds: int, queries: int) -> Report:
    """Judge strategies by their names, all but random search if there are none."""
    if not (DATA / "nb201_classes.parquet").is_file():
        return Report(skipped=f"no recorded tables in {DATA}")
    tables = [Judged(Problem(setting, DATA), queries) for setting in TUNING[:2]]
    rows: list[Row] = []
    for name in names or [name for name in STRATEGIES if name != "random"]:
        for settings in METHODS.get(name, [{}]):
            row: dict[str, Any] = {"strategy": " ".join([name, *settings.values()])}
            row["worth"] = "reward" if STRATEGIES[name].single else "hypervolume"
            ahead = True
            begun_s = time.process_time()
            for table in tables:
                gains = [table.gain(name, settings, seed) for seed in range(seeds)]
                low, high = mean_interval(gains)
                where = table.problem.setting.name
                row |= {where: float(np.mean(gains)), f"95 % of {where}": (low, high)}
                ahead &= low > 0
            row["CPU ms"] = 1e3 * (time.process_time() - begun_s) / (len(tables) * seeds * queries)
            rows.append(row | {"ships": "yes" if ahead else "no"})
            print(f"{row['strategy']}: {'ahead' if ahead else 'not ahead'}", flush=True)
    notes = [f"{queries} queries, {seeds} paired seeds; gain over random search; processor time per query of both"]
    return Report([Table("Is it better than random search?", rows, notes)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all if left out: {', '.join(STRATEGIES)}")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(STRATEGIES)):
        parser.error(f"there is no strategy {', '.join(unknown)}")
    show(run(options.names, options.seeds, options.queries))
