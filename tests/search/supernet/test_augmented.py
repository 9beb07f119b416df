"""Training on varied images: they are part of what a checkpoint belongs to, and a resume sees the same ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from search.data import Augmentation
from search.supernet import CheckpointError, Supernet, TrainSettings, train, train_alone

PLAIN = TrainSettings(epochs=2, batch=32, learning_rate=0.1)
VARIED = replace(PLAIN, augment=Augmentation(crop=1, flip=True, cutout=3))


def weights(module):
    return torch.cat([value.flatten().double() for value in module.state_dict().values()])


def test_images_that_a_supernet_sees_are_varied_and_a_resume_sees_the_same(data, space, tmp_path):
    plain, whole, resumed = (Supernet(space) for _ in range(3))
    train(plain, data, PLAIN)
    train(whole, data, VARIED)
    answers = iter([False, False, True])
    assert not train(resumed, data, VARIED, checkpoint=tmp_path / "c.pt", stop=lambda: next(answers))
    resumed = Supernet(space, seed=5)
    assert train(resumed, data, VARIED, checkpoint=tmp_path / "c.pt")
    assert torch.equal(weights(resumed), weights(whole))
    assert not torch.equal(weights(plain), weights(whole))
    with pytest.raises(CheckpointError, match="another training"):
        train(Supernet(space), data, PLAIN, checkpoint=tmp_path / "c.pt")


def test_networks_alone_are_trained_on_varied_images_too(data, space):
    architecture = space.smallest(np.random.default_rng(0))
    plain, varied, again = (train_alone(space, architecture, data, how, seed=1) for how in (PLAIN, VARIED, VARIED))
    assert torch.equal(weights(varied), weights(again))
    assert not torch.equal(weights(plain), weights(varied))
