"""A network that is trained alone: from given weights, for so many steps, stopped, torn off and resumed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from search.data import Augmentation
from search.supernet import (
    CheckpointError,
    FaultTraining,
    Supernet,
    TrainingDivergedError,
    TrainingStopped,
    TrainSettings,
    load_weights,
    train,
    train_alone,
)

SHORT = TrainSettings(epochs=2, batch=40, learning_rate=0.1)
STUCK, BIASED = FaultTraining("adSAF(p=0.1)", clean_epochs=1), FaultTraining("MiBB(p_m=1e-3)")


def same(one, two):
    found = two.state_dict()
    return all(torch.equal(value, found[name]) for name, value in one.state_dict().items())


@pytest.fixture
def architecture(space):
    return space.sample(np.random.default_rng(0))


def learn(data, space, architecture, settings=SHORT, **how):
    return train_alone(space, architecture, data, settings, seed=3, **how)


@pytest.mark.parametrize(
    "faults", [None, FaultTraining("adSAF(p=0.1)", clean_epochs=1), FaultTraining("MiBB(p_m=1e-3)")]
)
@pytest.mark.parametrize("steps", [1, 5, 9])
def test_a_stopped_training_goes_on_to_the_bit(data, space, architecture, tmp_path, faults, steps):
    settings, path = replace(SHORT, faults=faults, augment=Augmentation(crop=1)), tmp_path / "state"
    straight, seen = learn(data, space, architecture, settings), []
    with pytest.raises(TrainingStopped, match=f"stopped after step {steps} of 10"):
        learn(
            data, space, architecture, settings, checkpoint=path, stop=lambda: len(seen) == steps, progress=seen.append
        )
    torch.manual_seed(7)
    assert same(straight, learn(data, space, architecture, settings, checkpoint=path, progress=seen.append))
    assert [entry.step for entry in seen] == list(range(1, 11))
    assert same(straight, learn(data, space, architecture, settings, checkpoint=path, progress=seen.append))
    assert len(seen) == 10  # a finished training is not repeated


def test_a_torn_off_training_goes_on_to_the_bit_with_the_statistics_of_its_batch_norms(
    data, space, architecture, tmp_path
):
    def tear(progress):
        if progress.step == 7:
            raise KeyboardInterrupt

    straight, path = learn(data, space, architecture), tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        learn(data, space, architecture, checkpoint=path, checkpoint_every_s=0, progress=tear)
    assert same(straight, learn(data, space, architecture, checkpoint=path))


def test_it_begins_from_given_weights(data, space, architecture):
    supernet = Supernet(space)
    train(supernet, data, replace(SHORT, learning_rate=0.4))
    inherited = supernet.subnet(architecture, data.train.images)
    before = {name: value.clone() for name, value in inherited.state_dict().items()}
    tuned = learn(data, space, architecture, weights=inherited.state_dict(), steps=1)
    assert same(inherited, supernet.subnet(architecture, data.train.images))  # which are not touched
    moved = [name for name, value in before.items() if not torch.allclose(value, tuned.state_dict()[name], atol=0.2)]
    assert not [name for name in moved if "num_batches" not in name and "running" not in name]
    assert not same(tuned, learn(data, space, architecture, steps=1))


def test_so_many_steps_end_the_learning_rate(data, space, architecture):
    seen = []
    learn(data, space, architecture, steps=7, progress=seen.append)
    assert [entry.step for entry in seen] == list(range(1, 8))
    assert {(entry.steps, entry.epochs) for entry in seen} == {(7, 2)}
    with pytest.raises(ValueError, match="steps must be 1 or more: 0"):
        learn(data, space, architecture, steps=0)


def test_weights_of_another_network_are_refused(data, space, architecture):
    other = Supernet(space).subnet(space.largest(np.random.default_rng(1)))
    with pytest.raises(ValueError, match="the weights to begin with are not those of"):
        learn(data, space, architecture, weights=other.state_dict())


def test_a_checkpoint_belongs_to_architecture_steps_and_beginning(data, space, architecture, tmp_path):
    path = tmp_path / "state"
    learn(data, space, architecture, checkpoint=path, steps=2)
    other = space.largest(np.random.default_rng(1))
    with pytest.raises(CheckpointError, match="another training: network is"):
        learn(data, space, other, checkpoint=path, steps=2)
    with pytest.raises(CheckpointError, match="another training: steps is 2, not 3"):
        learn(data, space, architecture, checkpoint=path, steps=3)
    with pytest.raises(CheckpointError, match="settings: seed is 3, not 4"):
        train_alone(space, architecture, data, SHORT, seed=4, steps=2, checkpoint=path)
    weights = Supernet(space).subnet(architecture).state_dict()
    with pytest.raises(CheckpointError, match="another training: begin is"):
        learn(data, space, architecture, checkpoint=path, steps=2, weights=weights)
    with pytest.raises(CheckpointError, match="one network that was trained alone"):
        load_weights(path, Supernet(space))
    with pytest.raises(CheckpointError, match="another training: network is"):
        train(Supernet(space), data, replace(SHORT, seed=3), checkpoint=path)


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(data, space, architecture, tmp_path):
    path, module = tmp_path / "state", space.module

    class Watched(type(space)):
        def module(self, architecture):
            self.network = module(architecture)
            return self.network

    watched = Watched(**{name: getattr(space, name) for name in space.__dataclass_fields__})

    def poison(progress):
        if progress.step == 3:
            with torch.no_grad():
                watched.network.head.weight[0, 0] = float("nan")

    with pytest.raises(TrainingDivergedError, match=r"step 4: the loss of .* is nan; the last good checkpoint is kept"):
        learn(data, watched, architecture, checkpoint=path, checkpoint_every_s=0, progress=poison)
    kept = torch.load(path, weights_only=True)
    assert kept["state"]["step"] == 2
    assert all(value.isfinite().all() for value in kept["weights"].values())
