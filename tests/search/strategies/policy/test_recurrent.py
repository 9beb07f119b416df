"""The recurrent controller: a distribution, drawn from as it says, that may tell decisions apart by those before."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from search.strategies.policy.ftt import Recurrent
from search.strategies.policy.recurrent import HIDDEN, Controller

OPTIONS = (3, 2, 4)
EVERYTHING = torch.tensor(list(itertools.product(range(3), range(2), range(4))))


def opinionated() -> Controller:
    """A controller whose options are far from equally likely."""
    made = Controller(OPTIONS, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.7, generator=generator)
    return made


def test_probabilities_sum_to_one_and_the_entropy_is_theirs() -> None:
    made = opinionated()
    with torch.no_grad():
        logs, entropies = made(torch.zeros(len(EVERYTHING), HIDDEN), EVERYTHING)
    assert logs.exp().sum().item() == pytest.approx(1, abs=1e-5)
    # The entropies of the decisions on the way, averaged over all ways, make that of the whole.
    assert (logs.exp() * entropies).sum().item() == pytest.approx(-(logs.exp() * logs).sum().item(), abs=1e-5)


def test_samples_come_as_often_as_is_likely() -> None:
    made = opinionated()
    uniforms = torch.rand((20_000, 3), generator=torch.Generator().manual_seed(0))
    drawn = made.sample(torch.zeros(20_000, HIDDEN), uniforms)
    shares = (drawn[:, None] == EVERYTHING).all(dim=2).float().mean(dim=0)
    with torch.no_grad():
        logs, _ = made(torch.zeros(len(EVERYTHING), HIDDEN), EVERYTHING)
    assert (shares - logs.exp()).abs().max().item() < 4 * 0.5 / np.sqrt(20_000)


def test_it_learns_what_independent_choices_cannot() -> None:
    """Two decisions that should agree, whichever way: no product of independent choices does so more than half."""
    made = Recurrent([2, 2], seed=0, learning_rate=0.01)
    rng = np.random.default_rng(0)
    for _ in range(400):
        choices = made.sample(rng, 1)[0]
        made.learn(choices, 0.5 if choices[0] == choices[1] else -0.5, entropy=0.3)
    drawn = made.sample(rng, 500)
    assert (drawn[:, 0] == drawn[:, 1]).mean() > 0.8
    assert 0.2 < drawn[:, 0].mean() < 0.8


def test_a_copy_learns_alone() -> None:
    made = Recurrent(OPTIONS, seed=0, learning_rate=0.05)
    other = made.copy()
    made.learn(np.array([0, 1, 2]), 1.0, entropy=0.0)
    fresh = Recurrent(OPTIONS, seed=0, learning_rate=0.05)
    draws = [policy.sample(np.random.default_rng(3), 400) for policy in (made, other, fresh)]
    assert (draws[1] == draws[2]).all()
    assert (draws[0] != draws[1]).any()
