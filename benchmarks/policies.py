"""Do learned policies find more reward than chance, meet their target, and trade clean accuracy for robustness?

Run: ``python -m benchmarks.policies [--quick]``

All of it on recorded tables (`_yardstick.py`, the reported problems), in batches of 20. Latencies are those of the
problem's first device, bounds and targets quantiles of that column.

*Reward*: the best reward after 300 and after 1,000 queries less that of random search with the same seed, 20 seeds,
with Student's 95 % interval. REINFORCE has TuNAS's reward at the median latency; TabNAS accuracy within the median
latency (random search: the best that kept it), FTT-NAS half clean and half faulty accuracy where both are recorded.

*Targets*: 20 targets between the 5 % and the 95 % quantile of the Pi 4's latencies, 300 queries each. What is found
is the best by the method's own reward. A target is met if its latency is within 5 % of it. Accuracy is compared with
the best that the table has within 1.05 times the target; what is slower has none.

*Faults*: accuracy on clean hardware, and after a day of an analog chip's drift, of what is found with FTT-NAS's reward,
(1 − α) · clean + α · faulty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._lab import DATA
from benchmarks._report import Report, Row, Table, main
from benchmarks._stats import mean_interval
from benchmarks._yardstick import PROBLEMS, Problem, Setting
from search.evaluations import Evaluation
from search.objectives import Constraint
from search.rewards import Reward, parse_reward
from search.strategies import RandomSearch, Strategy
from search.strategies.policy.ftt import FttNas
from search.strategies.policy.reinforce import Reinforce
from search.strategies.policy.tabnas import TabNas

Policy = type[Reinforce] | type[FttNas]
Worth = Callable[[Evaluation], float | None]
ACCURACY = {"kind": "single", "objective": "accuracy"}
FAULTY = "accuracy@drift(days=1)"
_BATCH = 20
#: How near to a target meets it.
_NEAR = 0.05


def told(problem: Problem, strategy: Strategy, queries: int) -> list[Evaluation]:
    """All answers after so many queries."""
    for first in range(0, queries, _BATCH):
        batch = strategy.ask(min(_BATCH, queries - first))
        strategy.tell([problem.evaluate(number, a) for number, a in enumerate(batch, first)])
    return strategy.evaluations


def best_after(evaluations: Sequence[Evaluation], worth: Worth, queries: Sequence[int]) -> NDArray[np.float64]:
    """The best worth after each number of queries."""
    found = [-np.inf if (value := worth(evaluation)) is None else value for evaluation in evaluations]
    return np.asarray(np.maximum.accumulate(found)[np.array(queries) - 1])


def costs_of(problem: Problem) -> tuple[str, NDArray[np.float64]]:
    """The name of the problem's first cost, and all recorded ones."""
    name = problem.objectives[1].name
    values = [evaluation.value(name).value for evaluation in problem.evaluations]
    return name, np.array([value for value in values if value is not None])


def within(name: str, bound: float) -> Worth:
    """Accuracy, if the cost keeps the bound."""

    def worth(evaluation: Evaluation) -> float | None:
        cost = evaluation.value(name).value
        return evaluation.value("accuracy").value if cost is not None and cost <= bound else None

    return worth


def rewards_table(data: Path, settings: Sequence[Setting], queries: Sequence[int], seeds: int) -> Table:
    rows: list[Row] = []
    for setting in settings:
        problem = Problem(setting, data)
        name, costs = costs_of(problem)
        median = float(np.median(costs))
        tunas = {"kind": "tunas", "cost": name, "target": median}
        bound = Constraint.parse(f"{name} <= {median!r}")
        chance = [
            told(problem, RandomSearch(problem.space, problem.objectives, seed=seed), max(queries))
            for seed in range(seeds)
        ]
        cases: list[tuple[str, Policy, dict[str, Any], tuple[Constraint, ...], Worth]] = [
            ("REINFORCE", Reinforce, tunas, (), parse_reward(tunas)),
            ("TabNAS", TabNas, ACCURACY, (bound,), within(name, median)),
        ]
        if FAULTY in setting.objectives:
            both = {"kind": "ftt", "faulty": FAULTY, "alpha": 0.5}
            cases.append(("FTT-NAS", FttNas, both, (), parse_reward(both)))
        for label, strategy, reward, bounds, worth in cases:
            gains = []
            for seed in range(seeds):
                made = strategy(problem.space, problem.objectives, bounds, seed, reward)
                found = best_after(told(problem, made, max(queries)), worth, queries)
                gains.append(found - best_after(chance[seed], worth, queries))
            for place, count in enumerate(queries):
                gain = 100 * np.array(gains)[:, place]
                interval = mean_interval(gain.tolist())
                rows.append(
                    {
                        "strategy": label,
                        "problem": setting.name,
                        "queries": count,
                        "gain, points": float(gain.mean()),
                        "95 %": interval,
                        "above chance": interval[0] > 0,
                    }
                )
    note = "points of reward, which is accuracy less a hundredth for each tenth off the target (TabNAS: accuracy)"
    return Table("Best reward less that of random search", rows, [note])


def targets_table(problem: Problem, targets: Sequence[float], queries: int, seeds: int) -> Table:
    name, _ = costs_of(problem)
    cost = {"cost": name}
    methods: dict[str, tuple[Policy, Mapping[str, Any]]] = {
        "TuNAS's reward": (Reinforce, {"kind": "tunas", **cost}),
        "MnasNet's, soft": (Reinforce, {"kind": "mnasnet", **cost}),
        "MnasNet's, hard": (Reinforce, {"kind": "mnasnet", "hard": True, **cost}),
        "TabNAS, a bound": (TabNas, ACCURACY),
    }
    rows: list[Row] = []
    for label, (strategy, reward) in methods.items():
        off, short = [], []
        for target in targets:
            bounds = (Constraint.parse(f"{name} <= {target!r}"),) if strategy is TabNas else ()
            document = dict(reward) if strategy is TabNas else {**reward, "target": target}
            worth: Worth | Reward = within(name, target) if strategy is TabNas else parse_reward(document)
            limit = target * (1 + _NEAR)
            top = max(value for e in problem.evaluations if (value := within(name, limit)(e)) is not None)
            for seed in range(seeds):
                made = strategy(problem.space, problem.objectives, bounds, seed, document)
                answers = [(value, e) for e in told(problem, made, queries) if (value := worth(e)) is not None]
                found = max(answers, key=lambda pair: pair[0])[1]
                off.append((found.value(name).value or 0.0) / target - 1)
                accuracy = within(name, limit)(found)
                short.append(np.nan if accuracy is None else top - accuracy)
        ratios = np.array(off)
        rows.append(
            {
                "method": label,
                "within 5 % of the target": float((np.abs(ratios) <= _NEAR).mean()),
                "beyond 5 %": float((ratios > _NEAR).mean()),
                "median |off|": float(np.median(np.abs(ratios))),
                "accuracy short of the best, points": 100 * float(np.nanmean(short)),
            }
        )
    notes = [f"{len(targets)} targets of {name}, {seeds} seeds each, {queries} queries"]
    return Table("How often the found architecture meets its target", rows, notes)


def faults_table(problem: Problem, queries: int, seeds: int) -> Table:
    rows: list[Row] = []
    for alpha in (0.0, 0.5, 1.0):
        reward = {"kind": "ftt", "faulty": FAULTY, "alpha": alpha}
        worth = parse_reward(reward)
        found = []
        for seed in range(seeds):
            made = FttNas(problem.space, problem.objectives, (), seed, reward)
            answers = [(value, e) for e in told(problem, made, queries) if (value := worth(e)) is not None]
            best = max(answers, key=lambda pair: pair[0])[1]
            found.append([100 * (best.value(name).value or 0.0) for name in ("accuracy", FAULTY)])
        clean, faulty = np.mean(found, axis=0).tolist()
        rows.append({"α": alpha, "clean accuracy, %": clean, "after a day of drift, %": faulty})
    return Table("What FTT-NAS's reward finds", rows, [f"means of {seeds} seeds, {queries} queries"])


def run(quick: bool) -> Report:
    if not DATA.is_dir():
        return Report(skipped=f"no data in {DATA}; set GAUNTLET_DATA")
    problem, drifting = (Problem(PROBLEMS[place], DATA) for place in (0, 2))
    count = 2 if quick else 20
    targets = [float(t) for t in np.quantile(costs_of(problem)[1], np.linspace(0.05, 0.95, count))]
    if quick:
        tables = [rewards_table(DATA, PROBLEMS[2:], (60,), 2), targets_table(problem, targets, 60, 1)]
        return Report([*tables, faults_table(drifting, 60, 1)])
    tables = [rewards_table(DATA, PROBLEMS, (300, 1000), 20), targets_table(problem, targets, 300, 3)]
    return Report([*tables, faults_table(drifting, 300, 10)])


if __name__ == "__main__":
    main(run, __doc__)
