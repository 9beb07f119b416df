"""Figures that were measured elsewhere: they teach, and are no candidates."""

from __future__ import annotations

import numpy as np

from search.evaluations import Evaluation
from search.strategies.guided import Guided
from tests.search.strategies.problems import OBJECTIVES, DigitSpace

SPACE = DigitSpace(5)
LATENCY = OBJECTIVES[1].name


def begun(learned: list[Evaluation]) -> Guided:
    strategy = Guided(SPACE, OBJECTIVES, seed=1, initial=6)
    strategy.learn(learned)
    first = strategy.ask(6)
    strategy.tell([SPACE.evaluate(number, a) for number, a in enumerate(first)])
    return strategy


def elsewhere(count: int) -> list[Evaluation]:
    """Latencies without accuracies, as a campaign with other weights has them."""
    drawn = np.random.default_rng(0).permutation(SPACE.everything())[:count]
    return [
        Evaluation(number, str(a), 1, 1, figures={LATENCY: SPACE.evaluate(0, SPACE.parse(str(a))).figures[LATENCY]})
        for number, a in enumerate(drawn)
    ]


def error(strategy: Guided) -> float:
    """Of the latency that a strategy believes in, over the whole space."""
    strategy.ask(1)
    everything = SPACE.everything()
    believed = strategy._surrogates.believe(everything).mean[:, 1]
    true = np.array([SPACE.evaluate(0, a).figures[LATENCY].value for a in everything])
    return float(np.abs(believed - true).mean())


def test_predictions_are_better_for_it() -> None:
    assert error(begun(elsewhere(40))) < 0.5 * error(begun([]))


def test_none_of_it_is_a_candidate_and_all_of_it_may_be_asked_for() -> None:
    learned = elsewhere(40)
    strategy = begun(learned)
    assert len(strategy.evaluations) == 6
    asked: set[str] = set()
    for _ in range(10):
        batch = strategy.ask(10)
        asked |= {a.text for a in batch}
        strategy.tell([SPACE.evaluate(len(strategy.evaluations) + n, a) for n, a in enumerate(batch)])
    assert asked & {evaluation.architecture for evaluation in learned}


def test_the_order_in_which_it_comes_makes_no_difference() -> None:
    learned = elsewhere(40)
    assert begun(learned).ask(5) == begun(learned[::-1]).ask(5)
