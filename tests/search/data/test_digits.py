"""The distorted digits: real ones, seeded, and never the same original in two parts."""

import numpy as np
import pytest
import torch

from search.data.digits import CANVAS, distort, load_digits, split_originals


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    return load_digits()


def test_shapes_and_sizes(digits):
    assert digits.image_shape == (1, 16, 16)
    assert digits.classes == 10
    assert [len(split) for split in digits.parts.values()] == [3 * 1078, 8 * 359, 8 * 360]


def test_every_class_has_its_share_of_each_part(digits):
    for split in digits.parts.values():
        share = torch.bincount(split.labels).float() / len(split)
        assert share.min() > 0.09
        assert share.max() < 0.11


def test_the_first_images_are_a_fair_sample(digits):
    assert torch.bincount(digits.train.head(500).labels, minlength=10).min() > 25


def test_no_original_is_in_two_parts():
    labels = np.random.default_rng(0).integers(0, 10, 500)
    parts = split_originals(labels, np.random.default_rng(1))
    assert sorted(np.concatenate(parts)) == list(range(500))


def test_the_seed_decides(digits):
    assert load_digits().digest == digits.digest
    assert load_digits(seed=1).digest != digits.digest


def test_a_digit_is_drawn_smaller_within_its_canvas_and_keeps_its_ink():
    ink = distort(torch.ones(400, 1, 8, 8), np.random.default_rng(0))
    covered = ink.mean((1, 2, 3)).numpy()
    assert covered.mean() == pytest.approx(1 / CANVAS**2, rel=0.05)
    assert ink.std((1, 2, 3)).min() > 0.1  # borders and noise


def test_noise_has_the_strength_it_says():
    assert float(distort(torch.zeros(50, 1, 8, 8), np.random.default_rng(0)).std()) == pytest.approx(0.1, rel=0.05)
