"""Images in three disjoint parts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


class DataError(ValueError):
    """Images or labels that cannot be searched with; the message says which, and what to do."""


@dataclass(frozen=True, eq=False)
class Split:
    """One part.

    Attributes:
        images: (N, C, H, W), float32.
        labels: (N,), int64, 0 … classes − 1.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Check types and shapes.

        Raises:
            DataError: they are not what the attributes promise.
        """
        if self.images.dim() != 4 or self.images.dtype != torch.float32:
            raise DataError(f"images must be (N, C, H, W), float32: {tuple(self.images.shape)}, {self.images.dtype}")
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != torch.int64:
            raise DataError(
                f"labels must be one int64 per image: {tuple(self.labels.shape)}, {self.labels.dtype} for "
                f"{len(self.images)} images"
            )

    def __len__(self) -> int:
        return len(self.images)

    def head(self, n: int) -> Split:
        """The first n, or all where there are fewer."""
        return Split(self.images[:n], self.labels[:n])

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels in order, the last batch as long as it comes out."""
        for begin in range(0, len(self), size):
            yield self.images[begin : begin + size], self.labels[begin : begin + size]


@dataclass(frozen=True, eq=False)
class Data:
    """A classification problem. No image, nor a variation of one, is in two parts: who makes a Data sees to it.

    Attributes:
        name: for people.
        train: what networks learn from, BatchNorm and int8 calibration included; in random order, so that any first n
            are a fair sample.
        validation: what a search chooses by.
        test: what the winners are reported on, never shown to a search.
        classes: how many; each occurs in training.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int

    def __post_init__(self) -> None:
        """Check that the parts fit each other.

        Raises:
            DataError: they do not.
        """
        for part, split in self.parts.items():
            if len(split) == 0:
                raise DataError(f"{self.name}: the {part} part holds no image")
            if split.images.shape[1:] != self.train.images.shape[1:]:
                raise DataError(
                    f"{self.name}: images of the {part} part are {tuple(split.images.shape[1:])}, those of training "
                    f"{self.image_shape}"
                )
            if not all(map(math.isfinite, torch.aminmax(split.images))):  # NaN is passed on
                raise DataError(f"{self.name}: images of the {part} part hold NaN or infinity")
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= self.classes:
                raise DataError(
                    f"{self.name}: labels of the {part} part go from {low} to {high}; {self.classes} classes are "
                    f"0 to {self.classes - 1}"
                )
        missing = sorted(set(range(self.classes)) - set(self.train.labels.tolist()))
        if missing:
            raise DataError(f"{self.name}: no training image of class {', '.join(map(str, missing))}")

    @property
    def parts(self) -> dict[str, Split]:
        """The three parts by name."""
        return {"training": self.train, "validation": self.validation, "test": self.test}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @cached_property
    def digest(self) -> str:
        """sha256 over shapes, images and labels of all parts, in hexadecimal."""
        digest = hashlib.sha256(str(self.classes).encode())
        for split in self.parts.values():
            digest.update(str(tuple(split.images.shape)).encode())
            digest.update(split.images.contiguous().numpy().data)  # a view, for the copy would be large
            digest.update(split.labels.numpy().tobytes())
        return digest.hexdigest()
