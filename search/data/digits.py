"""scikit-learn's handwritten digits, drawn larger, turned and shifted: a small problem on which networks differ.

As they are (8 × 8) the digits are too easy to rank networks by: all land between 95 and 99 %.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from numpy.typing import NDArray
from torch import Tensor

from search.data.dataset import Data, DataError, Split

SIZE = 16
"""Cells along a side of the drawn image."""
ROTATION_RAD = math.radians(20)
SHIFT = 0.2
"""Of half the canvas, either way along both axes."""
CANVAS = 1.15
"""Side of the canvas in sides of the digit."""
NOISE = 0.1
"""Standard deviation; the darkest ink is 1."""
COPIES_TRAIN, COPIES_HELD_OUT = 3, 8
_SHARES = (0.6, 0.2)
"""Of the originals, in training and validation; the rest is for testing."""


def load_digits(seed: int = 0) -> Data:
    """Draw the data set: 1 × 16 × 16, ten classes, 3234 / 2872 / 2880 images.

    Copies of one original are in one part, so that no digit that was learned is asked again.

    Args:
        seed: of the split into parts, of all rotations, shifts and the noise; not negative.

    Raises:
        DataError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DataError("the digits come with scikit-learn: pip install scikit-learn") from error
    bunch = datasets.load_digits()
    originals = torch.from_numpy(np.asarray(bunch.images, np.float32) / 16)[:, None]
    labels = torch.from_numpy(np.asarray(bunch.target, np.int64))
    rng = np.random.default_rng(seed)
    train, validation, test = split_originals(labels.numpy(), rng)
    return Data(
        name="digits-16x16-affine",
        train=_draw(originals, labels, train, COPIES_TRAIN, rng),
        validation=_draw(originals, labels, validation, COPIES_HELD_OUT, rng),
        test=_draw(originals, labels, test, COPIES_HELD_OUT, rng),
        classes=10,
    )


def split_originals(labels: NDArray[np.int64], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Which originals are in training, validation and test: disjoint, each class divided in the same shares."""
    parts: list[list[NDArray[np.int64]]] = [[], [], []]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        first = round(len(members) * _SHARES[0])
        second = first + round(len(members) * _SHARES[1])
        for part, chosen in zip(parts, np.split(members, [first, second]), strict=True):
            part.append(chosen)
    return [np.concatenate(part) for part in parts]


def _draw(originals: Tensor, labels: Tensor, chosen: NDArray[np.int64], copies: int, rng: np.random.Generator) -> Split:
    """Copies of the chosen originals, in random order."""
    index = torch.from_numpy(rng.permutation(np.repeat(chosen, copies)))
    return Split(distort(originals[index], rng), labels[index])


def distort(digits: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw each digit on a larger canvas, turned, shifted and with noise.

    Args:
        digits: (N, 1, 8, 8), ink 0–1.
        rng: decides angle, shift and noise.

    Returns:
        (N, 1, 16, 16); not clipped, so that the noise on empty paper keeps its mean of 0.
    """
    n = len(digits)
    angle = rng.uniform(-ROTATION_RAD, ROTATION_RAD, n)
    cosine, sine = CANVAS * np.cos(angle), CANVAS * np.sin(angle)
    shift_x, shift_y = rng.uniform(-SHIFT, SHIFT, (2, n))
    # Where on the digit each cell of the canvas looks, hence the enlarging factor for a smaller digit.
    maps = np.stack([cosine, -sine, shift_x, sine, cosine, shift_y], 1).reshape(n, 2, 3)
    grid = F.affine_grid(torch.from_numpy(maps.astype(np.float32)), [n, 1, SIZE, SIZE], align_corners=False)
    drawn = F.grid_sample(digits, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return drawn + torch.from_numpy(rng.normal(0, NOISE, drawn.shape).astype(np.float32))
