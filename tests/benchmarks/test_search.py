"""The benchmark of searches: what counts as a query, for ours and for other people's methods alike."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import _search_runs, search
from benchmarks._lab import DATA
from benchmarks._search_peers import PEERS
from benchmarks._search_runs import CONTENDERS, Protocol, Task, carried_out, carry_out
from benchmarks._yardstick import PROBLEMS, VALIDATION, Setting
from search.evaluations import Evaluation
from search.spaces.base import Architecture
from tests.search.strategies.problems import OBJECTIVES, DigitSpace


@pytest.fixture(autouse=True, scope="module")
def _no_child_is_left() -> Iterator[None]:
    """Spawned runs bring a tracker of resources along, which would stay; others' tests count children."""
    yield
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


SETTING = Setting("digits", tuple(objective.name for objective in OBJECTIVES), 2.0)
PROTOCOL = Protocol(20, 40)


class FoldedSpace(DigitSpace):
    """Digits in any order are one network, of which those with seven 3 or more are not on record."""

    def __init__(self) -> None:
        super().__init__(10)

    def decode(self, choices: Sequence[int]) -> Architecture:
        return Architecture("".join(str(digit) for digit in sorted(int(choice) for choice in choices)))

    def sample(self, rng: np.random.Generator) -> Architecture:
        return self.decode(rng.integers(0, 4, self.length).tolist())

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        return self.decode(self.encode(super().mutate(architecture, rng)))

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator) -> Architecture:
        return self.decode(self.encode(super().crossover(first, second, rng)))

    def size(self) -> int:
        return math.comb(13, 3) - math.comb(6, 3)

    def allows(self, architecture: Architecture) -> bool:
        return architecture.text.count("3") < 7


class Problem:
    """What the contenders need of a yardstick's problem; every seventh query fails."""

    def __init__(self) -> None:
        self.space = FoldedSpace()
        self.objectives = OBJECTIVES
        self.setting = SETTING

    def evaluate(self, number: int, architecture: Architecture) -> Evaluation:
        assert self.space.allows(architecture)
        answer = self.space.failed if number % 7 == 0 else self.space.evaluate
        return answer(number, architecture)

    def hypervolume(self, evaluations: Sequence[Evaluation]) -> float:
        return len(evaluations) / 30


@pytest.fixture(autouse=True)
def problem(monkeypatch: pytest.MonkeyPatch) -> Problem:
    made = Problem()
    monkeypatch.setattr(_search_runs, "problem_of", lambda _: made)
    return made


@pytest.mark.parametrize("contender", CONTENDERS)
def test_every_query_is_a_network_of_its_own_and_the_seed_decides(contender: str) -> None:
    if contender in PEERS:
        pytest.importorskip("optuna")
        pytest.importorskip("pymoo")
    record, again, other = (carry_out(Task(SETTING, contender, seed, PROTOCOL)) for seed in (0, 0, 1))
    assert len(record.asked) == len(set(record.asked)) == PROTOCOL.most
    assert all(text == "".join(sorted(text)) for text in record.asked)
    assert record.asked == again.asked
    assert record.asked != other.asked
    assert record.cpu_s > 0
    # A million spellings of 266 networks: whoever proposes spellings repeats itself, and learns it for nothing.
    assert (record.repeats > 0) is (contender in PEERS and contender != "local search")


def test_a_run_goes_on_until_it_has_arrived(problem: Problem) -> None:
    early = replace(SETTING, target=0.1)
    late = replace(SETTING, target=0.9)
    lengths = []
    for setting in (early, late):
        problem.setting = setting
        lengths.append(len(carry_out(Task(setting, "random", 0, PROTOCOL)).asked))
    assert lengths == [20, 40]


class _Stuck:
    """Proposes the same for ever."""

    def __init__(self, problem: Any, seed: int) -> None:
        self.answers = 0

    def propose(self) -> tuple[int, Architecture]:
        return 0, Architecture("0000000000")

    def answer(self, ticket: Any, evaluation: Evaluation | None) -> None:
        assert evaluation is not None
        self.answers += 1


def test_a_peer_that_finds_nothing_new_has_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_search_runs, "PEERS", {"stuck": _Stuck})
    record = carry_out(Task(SETTING, "stuck", 0, PROTOCOL))
    assert record.asked == ["0000000000"]
    assert record.repeats > 100


def test_what_was_made_is_not_made_again_and_another_protocol_is_refused(tmp_path: Path) -> None:
    task = Task(SETTING, "random", 0, PROTOCOL)
    made = carry_out(task)
    task.path(tmp_path).write_text(_search_runs.written(made))
    assert carried_out([task], tmp_path, 1) == {task: made}
    with pytest.raises(SystemExit, match="name another --out"):
        carried_out([replace(task, protocol=Protocol(10, 20))], tmp_path, 1)


def test_who_has_found_everything_regrets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    if not (DATA / "nb201_classes.parquet").is_file():
        pytest.skip("no recorded tables; set GAUNTLET_DATA")
    regret = search._Regret(PROBLEMS[1])
    everything = _search_runs.problem_of(PROBLEMS[1]).evaluations
    assert regret.of(everything).tolist() == [0.0] * 10
    # Nothing found: the accuracy of the best less that of a guess, which grows with the bound.
    lost = regret.of([])
    assert (np.diff(lost) >= 0).all()
    assert 0.7 < lost[0] < lost[-1] < 0.85
    assert search._with_accuracy(PROBLEMS[1], VALIDATION).worst_error == 0.42


@pytest.mark.parametrize("wrong", [["--seeds", "3"], ["--seeds", "5:5"], ["--contenders", "guide"]])
def test_options_of_nonsense_are_refused_with_a_remedy(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        search.parser().parse_args(wrong)
    assert re.search("write 0:30|there are guided", capsys.readouterr().err)
