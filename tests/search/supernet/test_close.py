"""CLOSE's curriculum: sets of weights open one after the other, begin as copies, and a gate chooses among them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from search.errors import SearchError
from search.spaces.ftt import FttSpace
from search.spaces.nb201 import Nb201Space
from search.supernet import CheckpointError, FaultTraining, Supernet, TrainSettings, load_weights, make_supernet, train

NB201 = Nb201Space((1, 8, 8), 3, channels=2, cells=1)
FTT = FttSpace((1, 8, 8), 3, channels=2, cells=3, steps=2)
SPACES = pytest.mark.parametrize("space", [NB201, FTT], ids=["nb201", "ftt"])
SHORT = TrainSettings(epochs=3, batch=40, method="close", learning_rate=0.1, seed=3)  # five steps to an epoch
IMAGES = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def same(one, two):
    found = two.state_dict()
    return all(torch.equal(value, found[name]) for name, value in one.state_dict().items())


def rng(seed=0):
    return np.random.default_rng(seed)


@SPACES
def test_at_first_all_edges_share_and_a_new_set_begins_as_a_copy(space):
    supernet = make_supernet(space, sets=3)
    architecture = space.sample(rng(1))
    supernet.draw(1, rng())
    first = supernet(IMAGES, architecture)
    supernet.draw(1, rng(1))
    assert torch.equal(supernet(IMAGES, architecture), first)
    supernet.draw(2, rng())
    assert torch.equal(supernet(IMAGES, architecture), first)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    supernet.draw(2, rng(5))  # again, as a training does that is resumed here
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())
    supernet.draw(3, rng())
    assert torch.equal(supernet(IMAGES, architecture), first)


@SPACES
def test_sets_that_have_learned_differ_and_the_same_draw_chooses_the_same_ones(space):
    supernet = make_supernet(space, sets=3)
    supernet.draw(3, rng())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in supernet.named_parameters():
            if not name.startswith("gate"):
                parameter.add_(torch.randn(parameter.shape, generator=generator))
    architecture = max((space.sample(rng(seed)) for seed in range(20)), key=space.parameters)
    answers = []
    for seed in (1, 2, 3, 4, 1):
        supernet.draw(3, rng(seed))
        answers.append(supernet(IMAGES, architecture))
    assert torch.equal(answers[0], answers[-1])
    assert any(not torch.equal(answers[0], other) for other in answers[1:-1])


@SPACES
def test_stages_open_sets_in_equal_parts_of_the_training_and_the_schedule_begins_anew(space, data):
    supernet, seen = make_supernet(space, sets=3), []
    train(supernet, data, SHORT, progress=lambda progress: seen.append(int(supernet.open_sets)))
    assert seen == [1] * 5 + [2] * 5 + [3] * 5
    rates = [SHORT.rate(step, 15) for step in range(15)]
    assert rates[:5] == rates[5:10] == rates[10:]
    assert rates[4] < 0.2 * max(rates) == 0.2 * SHORT.learning_rate


def test_without_a_curriculum_the_schedule_is_what_it_was():
    settings = replace(SHORT, method="single-path")
    for step in range(15):
        rise = min(1.0, (step + 1) / 1.5)
        assert settings.rate(step, 15) == 0.1 * rise * 0.5 * (1 + math.cos(math.pi * step / 15))
    assert settings.sets is None
    assert SHORT.sets == 3


def test_the_gate_learns_from_the_second_stage_on(data):
    supernet, steps = make_supernet(NB201, sets=3), []
    fresh = supernet.gate.logits.detach().clone()

    def note(progress):
        steps.append(float((supernet.gate.logits.detach() - fresh).abs().sum()))

    train(supernet, data, SHORT, progress=note)
    assert steps[4] == 0 < steps[9]


@SPACES
@pytest.mark.parametrize("stopped", [4, 5, 6, 11])
def test_a_training_that_is_resumed_in_any_stage_is_the_same_to_the_bit(space, data, tmp_path, stopped):
    path, seen = tmp_path / "state", []
    straight, resumed = make_supernet(space, sets=3), make_supernet(space, seed=9, sets=3)
    settings = replace(SHORT, faults=FaultTraining("adSAF(p=0.05)"))
    train(straight, data, settings)
    stopping = make_supernet(space, sets=3)
    assert not train(stopping, data, settings, checkpoint=path, progress=seen.append, stop=lambda: len(seen) == stopped)
    assert train(resumed, data, settings, checkpoint=path)
    assert same(straight, resumed)
    network = resumed.subnet(space.sample(rng()), data.train.images)
    assert same(network, straight.subnet(space.sample(rng()), data.train.images))


def test_methods_and_supernets_that_do_not_fit_are_refused_before_the_first_step(data, space):
    with pytest.raises(SearchError, match=r"the sandwich needs a largest .* nb201-1x8x8-3-c2-n1 has none") as sandwich:
        train(make_supernet(NB201), data, replace(SHORT, method="sandwich"))
    assert "single-path" in sandwich.value.remedy
    for supernet in (Supernet(space), make_supernet(NB201)):
        with pytest.raises(SearchError, match="close needs operations that draw from sets of weights"):
            train(supernet, data, SHORT)
    with pytest.raises(SearchError, match="draw their weights from no sets"):
        make_supernet(space, sets=3)
    with pytest.raises(ValueError, match="4 stages need as many epochs"):
        replace(SHORT, stages=4)


def test_weights_that_are_shared_in_another_way_are_refused(data, tmp_path):
    path = tmp_path / "state"
    train(make_supernet(NB201, sets=3), data, SHORT, checkpoint=path, stop=lambda: True)
    for other in (make_supernet(NB201), make_supernet(NB201, sets=2)):
        with pytest.raises(CheckpointError, match=r"shared in another way: .* by close in 3 stages"):
            load_weights(path, other)
    load_weights(path, make_supernet(NB201, sets=3))
    with pytest.raises(CheckpointError, match="belongs to another training: settings"):
        train(make_supernet(NB201), data, replace(SHORT, method="single-path"), checkpoint=path)
