"""Independent logits: probabilities, samples and gradients against enumeration, finite differences and TabNAS's toy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from search.spaces.base import Decision
from search.strategies.policy.logits import Logits

UNEVEN = (Decision("a", ("0", "1", "2")), Decision("b", ("0", "1")), Decision("c", ("0", "1", "2", "3")))
EVERYTHING = np.array(list(itertools.product(range(3), range(2), range(4))))


def policy(seed: int = 1, learning_rate: float = 0.1) -> Logits:
    made = Logits(UNEVEN, learning_rate)
    made.logits = made.logits + np.random.default_rng(seed).normal(size=made.logits.shape)
    return made


def chances(made: Logits, choices: NDArray[np.int64]) -> NDArray[np.float64]:
    """P of each architecture."""
    return np.asarray(made.probabilities[np.arange(choices.shape[1]), choices].prod(axis=1))


def differences(made: Logits, function: object, step: float = 1e-6) -> NDArray[np.float64]:
    """The gradient of a function of the policy by central differences."""
    assert callable(function)
    gradient = np.zeros_like(made.logits)
    for place in np.argwhere(np.isfinite(made.logits)):
        values = []
        for sign in (1, -1):
            moved = made.copy()
            moved.logits = made.logits.copy()
            moved.logits[tuple(place)] += sign * step
            values.append(function(moved))
        gradient[tuple(place)] = (values[0] - values[1]) / (2 * step)
    return gradient


def test_probabilities_are_a_distribution_over_the_options_there_are() -> None:
    made = policy()
    assert chances(made, EVERYTHING).sum() == pytest.approx(1)
    assert (made.probabilities[1, 2:] == 0).all()
    assert Logits(UNEVEN, 0.1).probabilities[2].tolist() == [0.25] * 4


def test_samples_come_as_often_as_is_likely() -> None:
    made = policy()
    drawn = made.sample(np.random.default_rng(0), 20_000)
    shares = (drawn[:, None] == EVERYTHING).all(axis=2).mean(axis=0)
    assert np.abs(shares - chances(made, EVERYTHING)).max() < 4 * 0.5 / np.sqrt(20_000)


def test_the_score_is_the_gradient_of_the_log_probability() -> None:
    made, choices = policy(), EVERYTHING[13]
    expected = differences(made, lambda moved: np.log(chances(moved, choices[None])[0]))
    assert made.score(choices[None]) == pytest.approx(expected, abs=1e-8)


def test_the_score_within_a_set_is_right_on_the_average() -> None:
    """Against finite differences of log [P(y) / P(V)], P(V) enumerated; 300 estimates of 64 draws each."""
    made = policy()
    inside = EVERYTHING.sum(axis=1) <= 2
    choices = EVERYTHING[inside][4]
    exact = differences(
        made, lambda moved: np.log(chances(moved, choices[None])[0] / chances(moved, EVERYTHING[inside]).sum())
    )
    rng = np.random.default_rng(0)
    estimates = []
    for _ in range(300):
        drawn = made.sample(rng, 64)
        estimates.append(made.score_within(choices, drawn[drawn.sum(axis=1) <= 2]))
    spread = np.std(estimates, axis=0, ddof=1) / np.sqrt(300)
    assert (np.abs(np.mean(estimates, axis=0) - exact) <= 4 * spread + 1e-9).all()
    # It tells: without the correction it is another gradient.
    assert np.abs(made.score(choices[None]) - exact).max() > 0.3


def test_unrest_is_the_gradient_of_the_entropy() -> None:
    made = policy()

    def entropy(moved: Logits) -> float:
        every = chances(moved, EVERYTHING)
        return float(-(every * np.log(every)).sum())

    assert made.unrest() == pytest.approx(differences(made, entropy), abs=1e-8)


def test_a_step_goes_uphill_and_leaves_copies_alone() -> None:
    made = policy()
    before, choices = made.copy(), EVERYTHING[[7]]
    old = chances(before, choices)[0]
    made.climb(made.score(choices))
    assert chances(made, choices)[0] > old
    assert chances(before, choices)[0] == old


SIZES = (2, 3, 4)
#: Loss of a network with two layers of these sizes (Yang et al. 2022, figure 1).
LOSSES = {
    (2, 2): 0.9, (2, 3): 0.9, (2, 4): 0.66,
    (3, 2): 0.9, (3, 3): 0.66, (3, 4): 0.3,
    (4, 2): 0.6, (4, 3): 0.3, (4, 4): 0.1,
}  # fmt: skip


def parameters(first: int, second: int) -> int:
    """Weights and biases, of two inputs and one output."""
    return 3 * first + (first + 1) * second + second + 1


def toy(rejecting: bool, seed: int, steps: int = 2000) -> tuple[int, int]:
    """The likeliest network of at most 25 parameters, after a search with rejection, or with TuNAS's reward."""
    rng = np.random.default_rng(seed)
    made = Logits([Decision("first", ("2", "3", "4")), Decision("second", ("2", "3", "4"))], 0.01)
    sizes = np.array(SIZES)

    def fits(choices: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray(parameters(*sizes[choices].T) <= 25)

    baseline = 0.45
    for step in range(steps):
        choices = made.sample(rng, 1)[0]
        first, second = sizes[choices].tolist()
        if rejecting and parameters(first, second) > 25:
            continue
        reward = 1 - LOSSES[first, second]
        if not rejecting:
            reward -= 2 * abs(parameters(first, second) / 25 - 1)
        advantage, baseline = reward - baseline, baseline + 0.05 * (reward - baseline)
        if step < steps / 4:
            continue
        if not rejecting:
            made.climb(advantage * made.score(choices[None]))
            continue
        drawn = made.sample(rng, 64)
        if fits(drawn).any():
            made.climb(advantage * made.score_within(choices, drawn[fits(drawn)]))
    every = np.array(list(itertools.product(range(3), range(3))))
    feasible = every[fits(every)]
    best = feasible[chances(made, feasible).argmax()]
    return SIZES[best[0]], SIZES[best[1]]


def test_rejection_finds_the_best_network_within_the_bound_where_a_reward_for_the_target_lands_beside_it() -> None:
    """TabNAS's own toy: 4-2 is the best of what fits 25 parameters; 3-3 has as many, and better neighbours."""
    assert {toy(True, seed) for seed in range(3)} == {(4, 2)}
    assert {toy(False, seed) for seed in range(3)} == {(3, 3)}
