"""Variations of images: what they may do, and that they follow from seed, epoch and place alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search.data import Augmentation, DataError
from search.data.augment import holed, mirrored, shifted

AUGMENTATIONS = st.builds(Augmentation, crop=st.integers(0, 5), flip=st.booleans(), cutout=st.integers(0, 5))
SHAPES = st.tuples(st.integers(1, 12), st.sampled_from([1, 3]), st.integers(6, 9), st.integers(6, 9))


def images_of(shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).uniform(0.1, 1, shape).astype(np.float32))


def one_by_one(augmentation, images, places, **which):
    return torch.cat(
        [augmentation(image[None], place[None], **which) for image, place in zip(images, places, strict=True)]
    )


@settings(max_examples=40, deadline=None)
@given(AUGMENTATIONS, SHAPES, st.integers(0, 2**32), st.integers(0, 500), st.randoms(use_true_random=False))
def test_an_image_is_the_same_in_any_batch_and_its_cells_are_its_own_or_black(augmentation, shape, seed, epoch, random):
    images, before = images_of(shape), images_of(shape)
    places = np.array(random.sample(range(100_000), shape[0]))
    result = augmentation(images, places, seed=seed, epoch=epoch)
    assert (result.shape, result.dtype) == (images.shape, torch.float32)
    assert torch.equal(images, before)
    assert torch.equal(result, one_by_one(augmentation, images, places, seed=seed, epoch=epoch))
    for varied, image in zip(result, images, strict=True):
        assert set(varied.flatten().tolist()) <= {0.0, *image.flatten().tolist()}


@given(SHAPES, st.data())
@settings(max_examples=25, deadline=None)
def test_mirrored_twice_is_as_it_was(shape, data):
    which = torch.tensor(data.draw(st.lists(st.booleans(), min_size=shape[0], max_size=shape[0])))
    images = images_of(shape)
    assert torch.equal(mirrored(mirrored(images, which), which), images)
    assert torch.equal(mirrored(images, which)[~which], images[~which])


@given(st.integers(0, 8), st.integers(0, 8))
@settings(max_examples=25, deadline=None)
def test_a_window_is_what_a_loop_would_cut_out(down, across):
    image = images_of((1, 3, 7, 9))
    framed = np.pad(image.numpy(), [(0, 0), (0, 0), (4, 4), (4, 4)])
    result = shifted(image, 4, torch.tensor([down]), torch.tensor([across]))
    np.testing.assert_array_equal(result, framed[:, :, down : down + 7, across : across + 9])


@given(st.integers(1, 6), st.integers(0, 7), st.integers(0, 8))
@settings(max_examples=25, deadline=None)
def test_a_hole_is_the_square_around_its_centre_as_far_as_it_is_in_the_image(side, down, across):
    image = images_of((1, 3, 8, 9))
    expected = image.clone()
    top, left = down - side // 2, across - side // 2
    expected[:, :, max(top, 0) : top + side, max(left, 0) : left + side] = 0
    assert torch.equal(holed(image, side, torch.tensor([down]), torch.tensor([across])), expected)


def test_without_anything_switched_on_images_are_passed_through():
    images = images_of((4, 1, 8, 8))
    assert Augmentation()(images, np.arange(4), seed=0, epoch=0) is images


def test_seed_and_epoch_change_what_happens():
    images, places, crop = images_of((50, 1, 8, 8)), np.arange(50), Augmentation(crop=3)
    first = crop(images, places, seed=0, epoch=0)
    assert torch.equal(first, crop(images, places, seed=0, epoch=0))
    assert not torch.equal(first, crop(images, places, seed=1, epoch=0))
    assert not torch.equal(first, crop(images, places, seed=0, epoch=1))


def test_one_variation_leaves_the_draws_of_another_alone():
    images, places = images_of((50, 1, 8, 8)), np.arange(50)
    both = Augmentation(flip=True, cutout=3)(images, places, seed=0, epoch=0)
    flipped = Augmentation(flip=True)(images, places, seed=0, epoch=0)
    assert torch.equal(both[both > 0], flipped[both > 0])


def test_shifts_mirrors_and_holes_are_even_and_independent():
    # A ramp shows where each window was cut; 20,000 images: each of 5 × 5 × 2 cases 400 times, deviation 20.
    ramp = torch.arange(1, 50, dtype=torch.float32).reshape(1, 1, 7, 7).expand(20_000, 1, 7, 7)
    result = Augmentation(crop=2, flip=True)(ramp, np.arange(20_000), seed=7, epoch=3)
    cases, counts = np.unique(result.flatten(1).numpy(), axis=0, return_counts=True)
    assert len(cases) == 50
    assert counts.min() > 300
    assert counts.max() < 500


@pytest.mark.parametrize("wrong", [{"crop": -1}, {"cutout": -2}])
def test_a_negative_number_is_refused(wrong):
    with pytest.raises(ValueError, match="must be 0 or more: -"):
        Augmentation(**wrong)


@pytest.mark.parametrize("wrong", [{"crop": 8}, {"cutout": 9}])
def test_what_may_leave_nothing_of_an_image_is_refused(wrong):
    with pytest.raises(DataError, match=r"may leave nothing of images of 8 × 12; take less than 8"):
        Augmentation(**wrong).check((3, 8, 12))
    Augmentation(**dict.fromkeys(wrong, 7)).check((3, 8, 12))
