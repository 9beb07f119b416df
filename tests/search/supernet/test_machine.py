"""Devices, precisions and memory. Without a graphics processor: its code paths run on the CPU as far as they go."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from search.data import Augmentation
from search.errors import SearchError
from search.supernet import (
    BatchTooLargeError,
    FaultTraining,
    Supernet,
    TrainSettings,
    evaluate,
    load_weights,
    train,
    train_alone,
)
from search.supernet.courses import SupernetCourse
from search.supernet.descent import Descent
from search.supernet.machine import Machine, find_device

SHORT = TrainSettings(epochs=2, batch=40, learning_rate=0.1)
FAULTS = [None, FaultTraining("adSAF(p=0.02)"), FaultTraining("MiBB(p_m=1e-4)")]


def same(one, two):
    found = two.state_dict()
    return all(torch.equal(value, found[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize("faults", FAULTS)
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_in_16_bits_a_supernet_learns_other_weights_and_resumes_to_the_bit(data, space, tmp_path, precision, faults):
    settings = replace(SHORT, mixed_precision=precision, faults=faults)
    plain, straight, resumed, seen = (*(Supernet(space) for _ in range(3)), [])
    train(plain, data, replace(settings, mixed_precision="none"))
    assert train(straight, data, settings)
    path = tmp_path / "state"
    assert not train(
        Supernet(space), data, settings, checkpoint=path, stop=lambda: len(seen) == 4, progress=seen.append
    )
    assert train(resumed, data, settings, checkpoint=path)
    assert same(straight, resumed)
    assert not same(straight, plain)
    assert {value.dtype for value in straight.state_dict().values()} == {torch.float32}
    apart = torch.cat([(a - b).flatten() for a, b in zip(straight.parameters(), plain.parameters(), strict=True)])
    assert apart.abs().max() < 0.3


def test_a_network_learns_in_16_bits(data, space):
    architecture = space.sample(np.random.default_rng(0))
    settings = TrainSettings(epochs=6, learning_rate=0.1, mixed_precision="bf16")
    assert evaluate(train_alone(space, architecture, data, settings, seed=3), data.validation).value > 0.9


def test_gradients_that_overflow_at_their_scale_leave_a_step_out_and_lower_the_scale():
    layer, machine = torch.nn.Linear(2, 2), Machine.of("cpu", "fp16")
    descent, before = Descent(layer, SHORT, machine), layer.weight.clone()
    descent.gather(layer.weight.sum() * 1e35)  # times 65,536 is infinite
    assert descent.clip() is None
    descent.take(0.1)
    assert torch.equal(layer.weight, before)
    assert descent.state()["scaler"]["scale"] == 32768
    descent.forget()
    descent.gather(layer.weight.sum())
    assert descent.clip() is None
    descent.take(0.1)
    assert not torch.equal(layer.weight, before)


@pytest.mark.parametrize("precision", ["none", "fp16"])
def test_gradients_that_are_infinite_at_any_scale_are_told(precision):
    layer = torch.nn.Linear(2, 2)
    descent, found = Descent(layer, SHORT, Machine.of("cpu", precision)), None
    for _ in range(20):
        descent.forget()
        descent.gather(layer.weight.sum() * float("inf"))
        found = descent.clip()
        if found is not None:
            break
        descent.take(0.1)
    assert found is not None
    assert not np.isfinite(found)


def test_a_training_may_go_on_on_another_device(data, space, tmp_path, monkeypatch):
    path, seen = tmp_path / "state", []
    train(Supernet(space), data, SHORT, checkpoint=path, stop=lambda: len(seen) == 3, progress=seen.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert train(Supernet(space), data, replace(SHORT, device="auto"), checkpoint=path)


def test_devices_are_found_or_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == find_device("cpu") == torch.device("cpu")
    with pytest.raises(SearchError, match="device cuda: torch finds no CUDA device on this machine") as info:
        find_device("cuda")
    assert "device: auto" in info.value.remedy
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("auto") == find_device("cuda") == torch.device("cuda", 0)
    assert find_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(SearchError, match="device cuda:2: torch finds 2 such devices"):
        find_device("cuda:2")


@pytest.mark.parametrize(
    "wrong", [{"device": "gpu"}, {"device": "cuda:x"}, {"device": "cuda:-1"}, {"mixed_precision": "int8"}]
)
def test_devices_and_precisions_that_there_are_not_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        TrainSettings(**wrong)


def test_images_are_moved_once_where_they_leave_room(data, monkeypatch):
    machine = Machine(torch.device("meta"), None)  # where nothing is kept, but every device is checked
    size = data.train.images.nbytes + data.train.labels.nbytes
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * size, 4 * size))
    assert machine.held(data.train).images.device.type == "meta"
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * size - 2, 4 * size))
    assert machine.held(data.train) is data.train
    assert Machine(torch.device("cpu"), None).held(data.train) is data.train


def test_images_are_varied_where_they_are():
    images = torch.zeros(4, 3, 8, 8, device="meta")
    varied = Augmentation(crop=2, flip=True, cutout=3)(images, np.arange(4), seed=0, epoch=0)
    assert varied.device.type == "meta"
    assert varied.shape == images.shape


@pytest.mark.parametrize("method", ["sandwich", "single-path"])
def test_all_that_a_step_computes_with_is_on_the_device(data, space, method):
    # Tensors of torch's meta device hold nothing, but may as little meet those of another as a graphics processor's.
    machine, supernet, settings = Machine(torch.device("meta"), None), Supernet(space), replace(SHORT, method=method)
    machine.place(supernet)
    course, descent = SupernetCourse(supernet, settings, len(data.train)), Descent(supernet, settings, machine)
    taught = course.teach(descent, data.train.images[:40].to("meta"), data.train.labels[:40].to("meta"), 0)
    assert {loss.device.type for loss in [*taught.losses, taught.correct]} == {"meta"}
    gradients = [parameter.grad for parameter in supernet.parameters() if parameter.grad is not None]
    assert {gradient.device.type for gradient in gradients} == {"meta"}


# ----------------------------------------------------------------------------------------------------- memory


@pytest.fixture
def small_memory(monkeypatch):
    """Networks that do not fit into memory with more than so many images."""

    def most(images):
        plain = Supernet.forward

        def forward(self, x, architecture):
            if len(x) > images:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return plain(self, x, architecture)

        monkeypatch.setattr(Supernet, "forward", forward)

    return most


@pytest.mark.parametrize(("most", "fits"), [(39, 20), (13, 10), (2, 2)])
def test_a_batch_that_memory_cannot_hold_is_named_with_one_that_it_can(data, space, small_memory, most, fits):
    small_memory(most)
    with pytest.raises(BatchTooLargeError) as info:
        train(Supernet(space), data, SHORT)
    assert str(info.value) == (
        f"out of memory on cpu in step 1: a batch of 40 images is too large; {fits} fit: set batch to {fits}"
    )
    assert (info.value.batch, info.value.fits) == (40, fits)
    assert train(Supernet(space), data, replace(SHORT, batch=fits, epochs=1))


def test_a_network_of_which_no_batch_fits_is_told(data, space, small_memory):
    small_memory(1)
    with pytest.raises(BatchTooLargeError, match="not even 2 fit: take smaller networks"):
        train(Supernet(space), data, SHORT)


def test_memory_that_is_short_later_keeps_the_checkpoint(data, space, small_memory, tmp_path):
    def fill(progress):
        if progress.step == 3:
            small_memory(16)

    path = tmp_path / "state"
    with pytest.raises(BatchTooLargeError, match="in step 4: a batch of 40 images is too large; 10 fit"):
        train(Supernet(space), data, SHORT, checkpoint=path, checkpoint_every_s=0, progress=fill)
    load_weights(path, Supernet(space))


def test_memory_that_is_short_for_a_network_alone_is_told_likewise(data, space, monkeypatch):
    network = type(space.module(space.smallest(np.random.default_rng(0))))
    plain = network.forward

    def forward(self, x):
        if len(x) > 16:
            raise torch.OutOfMemoryError
        return plain(self, x)

    monkeypatch.setattr(network, "forward", forward)
    with pytest.raises(BatchTooLargeError, match="a batch of 40 images is too large; 10 fit"):
        train_alone(space, space.smallest(np.random.default_rng(0)), data, SHORT, seed=0)
