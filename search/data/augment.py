"""Variations of training images, on tensors: shifted, mirrored, with a hole.

Nothing is drawn from a running generator. What happens to an image follows from (seed, epoch, its place in the training
part) alone, by SplitMix64 (Steele, Lea and Flood 2014), which reaches any place of its sequence in one step: a batch is
drawn at once, and a training that is resumed, or divided otherwise, sees the same images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from numpy.typing import NDArray
from torch import Tensor

from search.data.dataset import DataError

_STREAM = 2
"""Of the random numbers of a training; 0 and 1 are the order of its images and the networks of a step."""
_DOWN, _ACROSS, _MIRRORED, _HOLE_DOWN, _HOLE_ACROSS = range(5)
_DRAWS = 5
"""Random numbers of an image, used or not, so that switching one variation on leaves the others alone."""


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training image; nothing by default.

    In this order: a frame of ``crop`` black cells is put around it and a window of its old size cut out anywhere (He et
    al. 2016, section 4.2, with 4); with probability one half it is mirrored; a square of ``cutout`` cells, its centre
    anywhere in the image, becomes black (DeVries and Taylor 2017; what lies outside is lost, as there. Their images
    have a mean of 0, so that their hole is of the mean colour).

    Attributes:
        crop: cells of the frame; 0: no shift.
        flip: mirror left and right. Not for digits, letters, or whatever else has a handedness.
        cutout: side of the square in cells; 0: no hole.
    """

    crop: int = 0
    flip: bool = False
    cutout: int = 0

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ValueError: a number below 0.
        """
        for name in ("crop", "cutout"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more: {getattr(self, name)}")

    def check(self, image_shape: tuple[int, int, int]) -> None:
        """Whether something of an image is always left.

        Args:
            image_shape: (C, H, W).

        Raises:
            DataError: frame or hole are as large as the image.
        """
        side = min(image_shape[1:])
        for name in ("crop", "cutout"):
            if getattr(self, name) >= side:
                raise DataError(
                    f"augment.{name} of {getattr(self, name)} may leave nothing of images of {image_shape[1]} × "
                    f"{image_shape[2]}; take less than {side}"
                )

    def __call__(self, images: Tensor, places: NDArray[np.int64], *, seed: int, epoch: int) -> Tensor:
        """Vary a batch.

        Args:
            images: (N, C, H, W), float32; left as they are.
            places: (N,), of the images in the training part; not negative.
            seed: of the training; not negative.
            epoch: from 0.

        Returns:
            (N, C, H, W): each cell is one of the same image, or 0. ``images`` itself if nothing is to happen.
        """
        if self == Augmentation():
            return images
        height, width = images.shape[2:]
        draws, device = _draws(places, seed, epoch), images.device
        if self.crop:
            span = 2 * self.crop + 1
            down, across = _below(draws[_DOWN], span, device), _below(draws[_ACROSS], span, device)
            images = shifted(images, self.crop, down, across)
        if self.flip:
            images = mirrored(images, _below(draws[_MIRRORED], 2, device) == 1)
        if self.cutout:
            down, across = _below(draws[_HOLE_DOWN], height, device), _below(draws[_HOLE_ACROSS], width, device)
            images = holed(images, self.cutout, down, across)
        return images


def shifted(images: Tensor, frame: int, down: Tensor, across: Tensor) -> Tensor:
    """Windows of framed images.

    Args:
        images: (N, C, H, W).
        frame: black cells on each side.
        down: (N,), the window's first row, 0 … 2 · frame.
        across: (N,), its first column.

    Returns:
        (N, C, H, W).
    """
    n, _, height, width = images.shape
    # A view of all windows, of which indexing copies one of each image: no loop, and no table of cells.
    windows = F.pad(images, [frame] * 4).unfold(2, height, 1).unfold(3, width, 1)
    return windows.permute(0, 2, 3, 1, 4, 5)[torch.arange(n, device=images.device), down, across]


def mirrored(images: Tensor, which: Tensor) -> Tensor:
    """Left and right exchanged where ``which``, (N,) booleans, says so."""
    return torch.where(which[:, None, None, None], images.flip(3), images)


def holed(images: Tensor, side: int, down: Tensor, across: Tensor) -> Tensor:
    """Black squares.

    Args:
        images: (N, C, H, W).
        side: of the squares.
        down: (N,), rows of their centres.
        across: (N,), columns of their centres.

    Returns:
        (N, C, H, W).
    """
    rows = _within(images.shape[2], side, down)[:, None, :, None]
    columns = _within(images.shape[3], side, across)[:, None, None, :]
    return images.masked_fill(rows & columns, 0)


def _within(cells: int, side: int, centre: Tensor) -> Tensor:
    """(N, cells): whether the square reaches there."""
    first = (centre - side // 2)[:, None]
    place = torch.arange(cells, device=centre.device)
    return (place >= first) & (place < first + side)


def _draws(places: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.uint64]:
    """(draws, N): uniform over 64 bits."""
    start = np.random.SeedSequence([seed, _STREAM, epoch]).generate_state(1, np.uint64)
    step = places.astype(np.uint64) * np.uint64(_DRAWS) + np.arange(1, _DRAWS + 1, dtype=np.uint64)[:, None]
    state = start + step * np.uint64(0x9E3779B97F4A7C15)  # the sequence, wrapping at 64 bits
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: NDArray[np.uint64] = state ^ (state >> np.uint64(31))
    return result


def _below(draws: NDArray[np.uint64], end: int, device: torch.device) -> Tensor:
    """(N,), int64, 0 … end − 1, from the upper half of each draw; uneven by less than end / 2³²."""
    numbers = ((draws >> np.uint64(32)) * np.uint64(end)) >> np.uint64(32)
    return torch.from_numpy(numbers.astype(np.int64)).to(device)
