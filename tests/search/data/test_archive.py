"""A user's own archive: what is read, how it is divided, and what is refused."""

import numpy as np
import pytest
import torch

from search.data import Data, DataError, Split
from search.data import load as load_data


def arrays(n=60, classes=3, shape=(8, 8), seed=0):
    rng = np.random.default_rng(seed)
    return {"images": rng.integers(0, 256, (n, *shape)).astype(np.uint8), "labels": np.arange(n) % classes}


@pytest.fixture
def load(tmp_path):
    def write_and_load(seed=0, **content):
        np.savez(tmp_path / "mine.npz", **content)
        return load_data(tmp_path / "mine.npz", seed)

    return write_and_load


def pixels(split):
    return {image.numpy().tobytes() for image in split.images}


@pytest.mark.parametrize(
    ("shape", "expected"), [((8, 8), (1, 8, 8)), ((9, 8, 3), (3, 9, 8)), ((3, 9, 8), (3, 9, 8)), ((8, 8, 1), (1, 8, 8))]
)
def test_channels_are_found_wherever_they_stand(load, shape, expected):
    assert load(**arrays(shape=shape)).image_shape == expected


def test_bytes_become_fractions_and_floats_stay(load):
    content = arrays()
    assert 0.9 < float(load(**content).train.images.max()) <= 1
    content["images"] = content["images"].astype(np.float64)
    assert float(load(**content).train.images.max()) > 200


def test_each_class_is_divided_and_nothing_is_lost_or_shared(load):
    data = load(**arrays(n=300))
    assert [len(split) for split in data.parts.values()] == [180, 60, 60]
    assert all((torch.bincount(split.labels) == len(split) // 3).all() for split in data.parts.values())
    assert len(pixels(data.train) | pixels(data.validation) | pixels(data.test)) == 300


def test_equal_images_stay_together(load):
    content = arrays(n=60)
    content["images"] = np.concatenate([content["images"]] * 4)
    content["labels"] = np.concatenate([content["labels"]] * 4)
    data = load(**content)
    assert not pixels(data.train) & pixels(data.validation)
    assert not pixels(data.train) & pixels(data.test)
    assert not pixels(data.validation) & pixels(data.test)


def test_a_split_of_ones_own_is_kept(load):
    content = arrays()
    split = np.repeat([0, 1, 2], 20)
    data = load(**content, split=split)
    expected = {(image / np.float32(255)).astype(np.float32).tobytes() for image in content["images"][20:40]}
    assert pixels(data.validation) == expected


def test_the_seed_decides(load):
    content = arrays()
    assert load(**content).digest == load(**content).digest
    assert load(**content).digest != load(seed=1, **content).digest


def nan(content):
    content["images"] = content["images"].astype(np.float32)
    content["images"][7, 0, 0] = np.nan


def shared(content):
    content["images"][50] = content["images"][0]
    content["split"] = np.repeat([0, 1, 2], 20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(labels=c["labels"][:-1]), r"60 images need labels of shape \(60,\): \(59,\)"),
        (lambda c: c.update(labels=c["labels"] + 1), "no image of class 0"),
        (lambda c: c.update(labels=c["labels"] - 1), "labels go from -1"),
        (lambda c: c.update(labels=c["labels"] * 1.0), "labels must be integers"),
        (lambda c: c.update(labels=c["labels"] * 0), "two classes"),
        (lambda c: c.update(labels=c["labels"] * 1000), "labels go from 0 to 2000"),
        (lambda c: c.update(labels=np.arange(60) % 30), "too few images: 2 of class 0"),
        (lambda c: c.update(images=c["images"][:0], labels=c["labels"][:0]), "too few images: none"),
        (lambda c: c.update(images=c["images"][0]), "60 images|need labels|images must be"),
        (lambda c: c.update(images=np.zeros((60, 3, 8, 3), np.uint8)), "which dimension holds the channels"),
        (lambda c: c.update(images=np.zeros((60, 8, 8, 4), np.uint8)), "which dimension holds the channels"),
        (lambda c: c.update(images=c["images"].astype(np.int64)), "must be uint8 or floats"),
        (nan, "1 images hold NaN or infinity, the first is number 7"),
        (lambda c: c.pop("labels"), "lacks labels; it holds images"),
        (lambda c: c.update(images=np.array([None] * 60)), "cannot be read"),
        (lambda c: c.update(split=np.zeros(60, int)), "no image into validation"),
        (lambda c: c.update(split=np.full(60, 3)), "split must hold 60 integers"),
        (shared, "1 images are in training and in test"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(load, change, message):
    content = arrays()
    change(content)
    with pytest.raises(DataError, match=message):
        load(**content)


def test_files_that_are_no_archives_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load_data(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match="cannot be read"):
        load_data(tmp_path / "text.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DataError, match="one array, not an archive"):
        load_data(tmp_path / "one.npy")


def split(n=4, labels=(0, 1, 0, 1), shape=(1, 8, 8)):
    return Split(torch.zeros(n, *shape), torch.tensor(labels))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: split(labels=(0, 1)), "one int64 per image"),
        (lambda: Split(torch.zeros(4, 8, 8), torch.zeros(4, dtype=torch.int64)), r"must be \(N, C, H, W\)"),
        (lambda: Data("x", split(), split(0, ()), split(), 2), "one int64|holds no image"),
        (lambda: Data("x", split(), split(shape=(1, 9, 9)), split(), 2), "validation part are"),
        (lambda: Data("x", split(), split(), split(labels=(0, 1, 2, 0)), 2), "test part go from 0 to 2"),
        (lambda: Data("x", split(labels=(0, 0, 0, 0)), split(), split(), 2), "no training image of class 1"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()
