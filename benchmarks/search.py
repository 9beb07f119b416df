"""How many measurements does a search need? Ours beside other people's, on recorded hardware.

Run: ``python -m benchmarks.search [--quick] [--out FOLDER] [--seeds 0:30] [--accuracy test|validation] …``

    seed 0   guided ──────● 124        ● share of the true hypervolume reached that counts as found
             TPE    ─────────────● 231     paired ratio: 124 / 231
    seed 1   …

The space is that of the yardstick (`_yardstick.py`): the isomorphism classes of NAS-Bench-201, with the latencies that
devices had. Batches of 20; every run makes 300 queries and goes on, to 600 at most, until it has reached the target.
Other people's methods (`_search_peers.py`) run through their own interfaces, with the space's canonical form and a
memory in front of them: what was measured before costs them nothing.

Ratios are paired by seed. A run of ours that never arrived counts as infinitely slow, a peer's as if it had arrived
with its last query. The best peer is the one with the fewest queries in the median. The target of the design: the upper
end of the 95 % interval of the median ratio to the best peer lies below 0.6.

Regret: at each of ten bounds on the Pi 4's latency (5 %, 15 % … 95 % quantile of the true front of accuracy and
latency) the accuracy of the best network in the table, less that of the best found within 300 queries, in points. Where
nothing was found within a bound, a network that guesses (10 %) is taken. With ``--accuracy validation`` searches see
accuracy after 12 epochs on validation images; regret is of the test accuracy of what they would have chosen by it.

``--out`` keeps a file for each run, and a page for each problem; runs that are there are not made again, so that pieces
made with several ``--seeds`` add up. Needs the recorded tables: `$GAUNTLET_DATA`, or `shared/data` beside the checkout.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks._lab import DATA
from benchmarks._report import Report, Row, Table, main
from benchmarks._search_peers import PEERS
from benchmarks._search_runs import BATCH, CONTENDERS, Protocol, Record, Task, carried_out, file_name, problem_of
from benchmarks._yardstick import PROBLEMS, TEST, VALIDATION, Setting
from search.comparison import Comparison, share
from search.evaluations import Evaluation
from search.report.strategies import write_comparison
from search.spaces.base import Architecture
from search.strategies.registry import make

MOST_RATIO = 0.6
_FULL, _QUICK = Protocol(300, 600), Protocol(60, 60)
_SEEDS = range(30)
_QUICK_SEEDS = range(2)
#: Whose claim it is.
_CLAIMED = "guided"
_LATENCY = "latency_s@raspi4"
_QUANTILES = np.arange(0.05, 1.0, 0.1)
_GUESS = 0.1
#: After 12 epochs, so many classes have at most this error as have at most 15 % after 200.
_WORST_ERROR_VALIDATION = 0.42
_MANY = 1000


def run(quick: bool, options: argparse.Namespace | None = None) -> Report:
    """All contenders on all problems."""
    if not (DATA / "nb201_classes.parquet").is_file():
        return Report(skipped=f"no recorded tables in {DATA}; set GAUNTLET_DATA")
    options = options or parser().parse_args([])
    seeds = options.seeds or (_QUICK_SEEDS if quick else _SEEDS)
    protocol = _QUICK if quick else _FULL
    settings = [_with_accuracy(setting, options.accuracy) for setting in PROBLEMS]
    # Seed by seed, so that what was broken off has compared something.
    tasks = [Task(s, name, seed, protocol) for seed in seeds for s in settings for name in options.contenders]
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as temporary:
        folder = options.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        records = carried_out(tasks, folder, options.processes)
        tables = []
        for setting in settings:
            made = {
                name: {seed: records[Task(setting, name, seed, protocol)] for seed in seeds}
                for name in options.contenders
            }
            tables += _tables(setting, made, protocol, folder)
    if _CLAIMED in options.contenders:
        tables.append(_cost_with_many(settings[0], 200 if quick else _MANY))
    return Report(tables)


def _with_accuracy(setting: Setting, accuracy: str) -> Setting:
    if accuracy == setting.accuracy:
        return setting
    return replace(setting, accuracy=accuracy, worst_error=_WORST_ERROR_VALIDATION)


def _tables(
    setting: Setting, made: Mapping[str, Mapping[int, Record]], protocol: Protocol, folder: Path
) -> list[Table]:
    problem = problem_of(setting)
    told = {name: {seed: _told(setting, record) for seed, record in records.items()} for name, records in made.items()}
    looks = (protocol.least // 3, protocol.least)
    comparison = Comparison(
        f"{setting.name}, {setting.accuracy} accuracy",
        {name: {seed: np.minimum(problem.series(t), 1.0) for seed, t in by.items()} for name, by in told.items()},
        protocol.least,
        setting.target,
        looks,
        (
            "all figures are replayed from recorded tables",
            f"runs go on after {protocol.least} queries, to {protocol.most} at most, until they reach the target",
        ),
    )
    write_comparison(comparison, folder / file_name(setting, "comparison.html"))
    regret = _Regret(setting)
    found: list[Row] = []
    spent: list[Row] = []
    for name in comparison.ranking.mean_rank:
        row = {
            "contender": name,
            **{f"hypervolume at {look}": str(comparison.hypervolume(name, look)) for look in looks},
        }
        row[f"queries to {share(setting.target)}"] = str(comparison.queries(name))
        if _CLAIMED in made:
            row[f"{_CLAIMED} / this"] = "" if name == _CLAIMED else str(comparison.ratio(_CLAIMED, name))
        found.append(row)
        records = list(made[name].values())
        queries = sum(len(record.asked) for record in records)
        lost = 100 * np.array([regret.of(t[: protocol.least]) for t in told[name].values()])
        spent.append(
            {
                "contender": name,
                "regret, points": float(lost.mean()),
                "at the worst bound": float(lost.mean(axis=0).max()),
                "repeats/query": sum(record.repeats for record in records) / queries,
                "asked twice": sum(len(record.asked) - len(set(record.asked)) for record in records),
                "CPU ms/query": 1e3 * sum(record.cpu_s for record in records) / queries,
            }
        )
    tables = [
        Table(
            f"{comparison.title}: {len(comparison.seeds)} paired seeds, best first",
            found,
            [*comparison.ranking.sentences(), *comparison.remarks()],
        ),
        Table(f"{comparison.title}: what is lost after {protocol.least} queries, and what a query costs", spent),
    ]
    if _CLAIMED in made and (peers := [name for name in made if name in PEERS]):
        tables.append(_claim(comparison, peers))
    return tables


def _claim(comparison: Comparison, peers: Sequence[str]) -> Table:
    """Is the promise kept, against the best of other people's?"""
    only = replace(comparison, runs={name: comparison.runs[name] for name in (_CLAIMED, *peers)})
    best = only.best_peer(_CLAIMED)
    ratio = only.ratio(_CLAIMED, best or "")
    row: Row = {"best peer": best, "median ratio (95 %)": str(ratio)}
    if ratio is not None and ratio.high is not None:
        row = {**row, "verdict": ratio.high < MOST_RATIO}
    return Table(f"{comparison.title}: {_CLAIMED} (target: upper end < {MOST_RATIO})", [row])


def _told(setting: Setting, record: Record) -> list[Evaluation]:
    problem = problem_of(setting)
    return [problem.evaluate(number, Architecture(text)) for number, text in enumerate(record.asked)]


class _Regret:
    """Accuracy that is lost by what a search has not found, at bounds on the latency."""

    def __init__(self, setting: Setting) -> None:
        test = problem_of(replace(setting, accuracy=TEST, worst_error=0.15))
        true = {e.architecture: e for e in test.evaluations if e.failure is None}
        self._accuracy = {text: e.value("accuracy").value or 0.0 for text, e in true.items()}
        latency, accuracy = _columns(list(true.values()))
        order = np.argsort(latency, kind="stable")
        best = np.maximum.accumulate(accuracy[order])
        on_front = np.flatnonzero(np.diff(best, prepend=0.0) > 0)
        useful = on_front[best[on_front] >= 1 - test.setting.worst_error]
        self._bounds = np.quantile(latency[order][useful], _QUANTILES)
        self._best = np.array([accuracy[latency <= bound].max() for bound in self._bounds])

    def of(self, told: Sequence[Evaluation]) -> NDArray[np.float64]:
        """At each bound, 0-1; chosen by the accuracy that the search saw."""
        found = [e for e in told if e.failure is None]
        latency, seen = _columns(found)
        true = np.array([self._accuracy[e.architecture] for e in found])
        chosen = []
        for bound in self._bounds:
            within = np.flatnonzero(latency <= bound)
            chosen.append(true[within[np.argmax(seen[within])]] if len(within) else _GUESS)
        return np.asarray(self._best - np.array(chosen), dtype=np.float64)


def _columns(evaluations: Sequence[Evaluation]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Latency and accuracy."""
    latency, accuracy = (
        np.array([e.value(name).value for e in evaluations], dtype=np.float64) for name in (_LATENCY, "accuracy")
    )
    return latency, accuracy


def _cost_with_many(setting: Setting, many: int) -> Table:
    """Processor time of a batch when much is known."""
    problem = problem_of(setting)
    strategy = make(_CLAIMED, problem.space, problem.objectives)
    random = make("random", problem.space, problem.objectives)
    known = random.ask(many)
    strategy.recall(known)
    strategy.tell([problem.evaluate(number, architecture) for number, architecture in enumerate(known)])
    # The first batch lists the space, once in a search.
    first = strategy.ask(BATCH)
    strategy.tell([problem.evaluate(number, architecture) for number, architecture in enumerate(first, many)])
    begin = time.process_time()
    asked = strategy.ask(BATCH)
    spent_s = time.process_time() - begin
    row: Row = {"contender": _CLAIMED, "observations": many, "CPU ms/query": 1e3 * spent_s / len(asked)}
    return Table("A batch when much is known", [row])


def parser() -> argparse.ArgumentParser:
    """Options of this benchmark alone."""
    made = argparse.ArgumentParser(add_help=False)
    made.add_argument("--out", type=Path, metavar="FOLDER", help="keep the runs there, and go on with those that are")
    made.add_argument("--seeds", type=_range, metavar="A:B", help="from A to below B (0:30)")
    made.add_argument("--accuracy", choices=(TEST, VALIDATION), default=TEST, help="what the searches see")
    made.add_argument("--processes", type=int, default=1, metavar="N", help="runs side by side (1)")
    names = ", ".join(CONTENDERS)
    made.add_argument("--contenders", type=_names, default=CONTENDERS, metavar="A,B", help=f"some of {names}")
    return made


def _range(text: str) -> range:
    first, _, last = text.partition(":")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise argparse.ArgumentTypeError(f"{text!r} names no seeds: write 0:30 for the first 30")
    return range(int(first), int(last))


def _names(text: str) -> tuple[str, ...]:
    found = tuple(name.strip() for name in text.split(","))
    if unknown := set(found) - set(CONTENDERS):
        raise argparse.ArgumentTypeError(
            f"no contender {', '.join(sorted(unknown))}; there are {', '.join(CONTENDERS)}"
        )
    return found


if __name__ == "__main__":
    own = parser()
    given, _ = own.parse_known_args()
    main(lambda quick: run(quick, given), __doc__, parents=[own])
