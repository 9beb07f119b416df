"""What every strategy has to do. A strategy's tests inherit `StrategyContract` and give `make`."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from search.errors import Exhausted, Infeasible, StrategyError
from search.evaluations import Evaluation
from search.objectives import Constraint
from search.spaces.base import Architecture
from search.spaces.restricted import restricted
from search.strategies import RandomSearch, Strategy
from search.values import Value
from tests.search.strategies.problems import OBJECTIVES, Answer, DigitSpace


class StrategyContract(ABC):
    """Determinism, de-duplication, constraints, failures, partial results, resume.

    Attributes:
        learns: whether answers change what is asked for.
    """

    learns: ClassVar[bool] = True

    @abstractmethod
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        """A new strategy for `OBJECTIVES`."""

    def run(self, strategy: Strategy, answer: Answer, batches: int, size: int = 10) -> list[Architecture]:
        asked: list[Architecture] = []
        for _ in range(batches):
            batch = strategy.ask(size)
            strategy.tell([answer(number, a) for number, a in enumerate(batch, len(asked))])
            asked += batch
        return asked

    def test_the_same_seed_and_answers_give_the_same_asks(self) -> None:
        space = DigitSpace()
        runs = [self.run(self.make(space, seed=7), space.evaluate, 8) for _ in range(2)]
        assert runs[0] == runs[1]

    def test_another_seed_gives_other_asks(self) -> None:
        space = DigitSpace()
        assert self.run(self.make(space, seed=1), space.evaluate, 3) != self.run(
            self.make(space, seed=2), space.evaluate, 3
        )

    def test_one_by_one_asks_for_the_same_as_all_at_once(self) -> None:
        space = DigitSpace()
        single = self.make(space, seed=3)
        assert [single.ask(1)[0] for _ in range(12)] == self.make(space, seed=3).ask(12)

    def test_nothing_is_asked_for_twice_down_to_the_last_architecture(self) -> None:
        space = DigitSpace(length=3)
        strategy = self.make(space)
        asked = self.run(strategy, space.evaluate, 9, size=7)
        asked += strategy.ask(7)
        assert sorted(asked) == space.everything()
        with pytest.raises(Exhausted):
            strategy.ask(1)

    def test_what_breaks_a_bound_on_macs_is_never_asked_for(self) -> None:
        space = DigitSpace()
        strategy = self.make(space, [Constraint.parse("macs <= 7000"), Constraint.parse("macs >= 4000")])
        asked = self.run(strategy, space.evaluate, 8)
        assert {4000 <= space.macs(a) <= 7000 for a in asked} == {True}

    def test_what_the_space_does_not_allow_is_never_asked_for(self) -> None:
        whole: Any = DigitSpace(length=4)
        members = [architecture for architecture in whole.everything() if architecture.text.count("2") == 1]
        strategy = self.make(restricted(whole, members, "a table"))
        assert sorted(self.run(strategy, whole.evaluate, 12, size=9)) == sorted(members)
        with pytest.raises(Exhausted):
            strategy.ask(1)

    def test_what_keeps_a_measured_bound_is_asked_for_more_often_than_at_random(self) -> None:
        if not self.learns:
            pytest.skip("learns nothing")
        space = DigitSpace()
        bound = Constraint.parse("latency_s@board <= 0.0005")
        kept = []
        for strategy in (self.make(space, [bound], 3), RandomSearch(space, OBJECTIVES, [bound], 3)):
            latest = self.run(strategy, space.evaluate, 12)[-60:]
            kept.append(
                sum(bound.violation(space.evaluate(0, a).figures[bound.name].value or 0.0) == 0 for a in latest)
            )
        assert kept[0] > 2 * kept[1]

    def test_a_bound_that_nothing_keeps_is_named(self) -> None:
        strategy = self.make(DigitSpace(), [Constraint.parse("parameters <= 3")])
        with pytest.raises(Infeasible, match="parameters <= 3"):
            strategy.ask(1)

    def test_failures_and_missing_figures_are_survived(self) -> None:
        space = DigitSpace()

        def answer(number: int, architecture: Architecture) -> Evaluation:
            if number % 3 == 0:
                return space.failed(number, architecture)
            whole = space.evaluate(number, architecture)
            if number % 3 == 1:
                return whole
            missing = {"accuracy": Value(0.5), "latency_s@board": Value.missing("the device was lost")}
            return Evaluation(number, whole.architecture, whole.macs, whole.parameters, figures=missing)

        asked = self.run(self.make(space, [Constraint.parse("latency_s@board <= 0.0008")]), answer, 10)
        assert len(set(asked)) == 100

    def test_nothing_but_failures_is_survived(self) -> None:
        space = DigitSpace()
        assert len(set(self.run(self.make(space), space.failed, 6))) == 60

    def test_answers_may_come_late_out_of_order_and_never(self) -> None:
        space = DigitSpace()
        strategy = self.make(space)
        rng = np.random.default_rng(0)
        pending: list[tuple[int, Architecture]] = []
        asked: list[Architecture] = []
        for _ in range(30):
            batch = strategy.ask(4)
            pending += list(enumerate(batch, len(asked)))
            asked += batch
            rng.shuffle(pending)
            strategy.tell([space.evaluate(*pending.pop()) for _ in range(3)])
        assert len(set(asked)) == 120
        assert len(strategy.evaluations) == 90

    def test_the_order_of_telling_makes_no_difference(self) -> None:
        space = DigitSpace()
        forward, backward = self.make(space, seed=5), self.make(space, seed=5)
        told = [space.evaluate(number, a) for number, a in enumerate(forward.ask(30))]
        backward.ask(30)
        forward.tell(told)
        backward.tell(told[::-1])
        assert forward.ask(10) == backward.ask(10)

    @pytest.mark.parametrize("broken_after", [0, 1, 3, 7])
    def test_a_run_broken_off_goes_on_as_it_would_have(self, broken_after: int) -> None:
        space = DigitSpace()
        whole = self.make(space, seed=11)
        asked: list[Architecture] = []
        told: list[Evaluation] = []
        for _ in range(broken_after):
            batch = whole.ask(8)
            # Two of eight are still on their way when it breaks off.
            answers = [space.evaluate(number, a) for number, a in enumerate(batch, len(asked))][:6]
            asked += batch
            whole.tell(answers)
            told += answers
        # All that a log keeps is text.
        texts = json.loads(json.dumps([[a.text for a in asked], [evaluation.to_json() for evaluation in told]]))
        resumed = self.make(space, seed=11)
        resumed.recall(map(space.parse, texts[0]))
        resumed.tell(map(Evaluation.from_json, texts[1]))
        for _ in range(3):
            batch = whole.ask(5)
            assert resumed.ask(5) == batch
            answers = [space.evaluate(number, a) for number, a in enumerate(batch, len(asked))]
            asked += batch
            whole.tell(answers)
            resumed.tell(answers)

    def test_what_was_not_asked_for_or_was_told_is_refused(self) -> None:
        space = DigitSpace()
        strategy = self.make(space)
        first = strategy.ask(1)[0]
        other = next(a for a in space.everything() if a != first)
        with pytest.raises(StrategyError, match="not asked for"):
            strategy.tell([space.evaluate(1, other)])
        strategy.tell([space.evaluate(0, first)])
        with pytest.raises(StrategyError, match="told before"):
            strategy.tell([space.evaluate(0, first)])
        with pytest.raises(StrategyError, match="twice"):
            strategy.recall([first])

    def test_equal_figures_everywhere_are_survived(self) -> None:
        space = DigitSpace()

        def flat(number: int, architecture: Architecture) -> Evaluation:
            figures = {objective.name: Value(math.pi / 10) for objective in OBJECTIVES}
            return Evaluation(number, architecture.text, 1, 1, figures=figures)

        assert len(set(self.run(self.make(space), flat, 6))) == 60
