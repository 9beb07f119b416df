"""Methods decide what a step teaches; the sandwich is compared, bit for bit, with the same training written out."""

from collections import Counter
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from search.supernet import Supernet, TrainSettings, checkpoint, evaluate, train
from search.supernet.methods import METHODS
from search.supernet.settings import MethodName

SHORT = TrainSettings(epochs=2, batch=40, seed=3)


def by_hand(supernet, data, settings):
    """The sandwich rule as it was before there were methods: the default's numbers must never move."""
    space, per_epoch = supernet.space, len(data.train) // settings.batch
    steps = settings.epochs * per_epoch
    weights = [p for p in supernet.parameters() if p.dim() > 1]
    others = [p for p in supernet.parameters() if p.dim() <= 1]
    groups = [{"params": weights, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, settings.learning_rate, settings.momentum, nesterov=True)
    for step in range(steps):
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng([settings.seed, 0, epoch]).permutation(len(data.train))
        chosen = torch.from_numpy(order[place * settings.batch : (place + 1) * settings.batch])
        images, labels = data.train.images[chosen], data.train.labels[chosen]
        rng = np.random.default_rng([settings.seed, 1, step])
        optimizer.zero_grad()
        logits = supernet(images, space.largest(rng))
        F.cross_entropy(logits, labels).backward()
        said = logits.detach().softmax(1)
        target = torch.lerp(said, F.one_hot(labels, space.classes).float(), settings.label_share)
        for architecture in (space.smallest(rng), space.sample(rng), space.sample(rng)):
            F.cross_entropy(supernet(images, architecture), target).backward()
        torch.nn.utils.clip_grad_norm_(supernet.parameters(), settings.clip)
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step, steps)
        optimizer.step()


def test_the_default_is_bit_for_bit_the_sandwich_written_out(data, space):
    expected, got = Supernet(space), Supernet(space)
    by_hand(expected, data, SHORT)
    train(got, data, SHORT)
    found = got.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.state_dict().items())


@pytest.mark.parametrize("random_subnets", [0, 3])
def test_a_sandwich_is_largest_smallest_and_random_ones_between(space, random_subnets):
    labels, settings = torch.tensor([0, 2]), TrainSettings(random_subnets=random_subnets, label_share=0.25)
    lessons, again = METHODS["sandwich"](space, labels, settings, np.random.default_rng(0)), np.random.default_rng(0)
    first = next(lessons)
    assert first.architecture == space.largest(again)
    assert torch.equal(first.target, labels)
    rest = [lessons.send(torch.zeros(2, 3)), *lessons]
    assert len(rest) == 1 + random_subnets
    assert rest[0].architecture == space.smallest(again)
    share = 0.75 / 3
    expected = torch.tensor([[share + 0.25, share, share], [share, share, share + 0.25]])
    for lesson in rest:
        torch.testing.assert_close(lesson.target, expected)


def test_a_single_path_is_drawn_evenly_and_learns_from_the_labels(space):
    labels, kernels = torch.tensor([0, 2]), Counter()
    for step in range(300):
        (lesson,) = METHODS["single-path"](space, labels, SHORT, np.random.default_rng(step))
        assert torch.equal(lesson.target, labels)
        kernels.update([space.plan(lesson.architecture).blocks[0].kernel])
    assert set(kernels) == {3, 5, 7}
    assert max(kernels.values()) < 150  # a third each, by far more than chance allows


def test_a_supernet_learns_by_single_paths(data, space):
    supernet = Supernet(space)
    train(supernet, data, TrainSettings(epochs=40, batch=40, method="single-path"))
    network = supernet.subnet(space.sample(np.random.default_rng(0)), data.train.images)
    assert evaluate(network, data.validation).interval[0] > 0.6


@pytest.mark.parametrize("method", ["sandwich", "single-path"])  # close: see test_close
def test_a_resumed_training_is_the_same_to_the_bit_and_methods_do_not_mix(data, space, tmp_path, method):
    settings, path, straight, resumed = (
        replace(SHORT, method=method),
        tmp_path / "state",
        Supernet(space),
        Supernet(space),
    )
    train(straight, data, settings)
    seen = []
    train(Supernet(space), data, settings, checkpoint=path, progress=seen.append, stop=lambda: len(seen) == 4)
    train(resumed, data, settings, checkpoint=path)
    found = resumed.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in straight.state_dict().items())
    other = next(name for name in ("sandwich", "single-path") if name != method)
    with pytest.raises(checkpoint.CheckpointError, match="another training: settings"):
        train(Supernet(space), data, replace(settings, method=other), checkpoint=path)


def test_a_checkpoint_from_before_there_were_methods_goes_on(data, space, tmp_path):
    path, straight, resumed = tmp_path / "state", Supernet(space), Supernet(space)
    train(straight, data, SHORT)
    train(Supernet(space), data, SHORT, checkpoint=path, stop=lambda: True)
    content = torch.load(path, weights_only=True)
    del content["identity"]["settings"]["method"]
    torch.save(content, path)
    train(resumed, data, SHORT, checkpoint=path)
    found = resumed.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in straight.state_dict().items())
    torch.save(content, path)
    with pytest.raises(checkpoint.CheckpointError, match="another training: settings"):
        train(Supernet(space), data, replace(SHORT, method="single-path"), checkpoint=path)


def test_a_method_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="one of sandwich, single-path, close: fair"):
        TrainSettings(method="fair")
    assert tuple(METHODS) == get_args(MethodName)
