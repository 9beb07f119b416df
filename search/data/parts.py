"""From images as a reader finds them to three parts that never mix.

What is given decides who divides:

=========================  =======================================================================================
all three parts            kept; an image in two of them is an error, for somebody has claimed that there is none
training and test          the test part stays the test part; images of the rest that are equal to one of it are left
                           out, and a tenth of each class becomes the validation part
nothing                    60, 20 and 20 % of each class
=========================  =======================================================================================

Whatever is divided here keeps images that are equal, cell by cell, in one part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from numpy.typing import NDArray
from torch import Tensor

from search.data.dataset import Data, DataError, Split

TRAINING, VALIDATION, TEST = range(3)
_PARTS = ("training", "validation", "test")
_LEFT_OUT = -1
_ALL_OPEN = (0.6, 0.8)
"""Where validation and test begin if nothing is given."""
_TEST_GIVEN = (0.9,)
"""Where validation begins if the test part is given: 45,000 and 5,000 of CIFAR-10."""
_FEWEST = 10
"""Images of a class, below which its shares are a matter of luck."""
_CHUNK = 4096
"""Images that become floats at a time."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a reader read.

    Attributes:
        name: of the data set.
        where: what messages call it.
        images: (N, C, H, W), uint8 (read as 0–1) or float32.
        labels: (N,), int64, 0 … classes − 1.
        part: (N,), ``TRAINING``, ``VALIDATION`` or ``TEST``; None if nothing is given.
        names: of the classes, for messages; their numbers if empty.
    """

    name: str
    where: str
    images: NDArray[Any]
    labels: NDArray[np.int64]
    part: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()

    def called(self, label: int) -> str:
        """A class, in words."""
        return self.names[label] if self.names else str(label)


def divided(found: Found, seed: int, pool: int = 1, limit: int | None = None) -> Data:
    """Three parts, each in random order.

    Images stay bytes until here, and become floats a few at a time, so that beside the result there is never more than
    one copy of them, of a quarter of its size.

    Args:
        found: what was read.
        seed: of what is divided here, and of the order.
        pool: side of the squares of cells that are averaged into one.
        limit: most images of a part; all if None.

    Raises:
        DataError: too few images, classes without any, parts that share images, a size that cannot be pooled.
    """
    classes = _check_classes(found)
    groups = _groups(found.images)
    rng = np.random.default_rng(seed)
    part = _parts(found, groups, rng)
    order = rng.permutation(len(part))
    images, labels = torch.from_numpy(found.images), torch.from_numpy(found.labels)
    splits = []
    for index in range(3):
        chosen = torch.from_numpy(order[part[order] == index][:limit])
        splits.append(Split(_floats(images, chosen, pool, found.where), labels[chosen]))
    return _together(found.name, splits, classes, limit)


def reduced(data: Data, pool: int = 1, limit: int | None = None) -> Data:
    """The same of a data set that is divided already: fewer images, or smaller ones.

    Args:
        data: the whole.
        pool: as for ``divided``.
        limit: as for ``divided``.

    Raises:
        DataError: a size that cannot be pooled, or no image of a class is left.
    """
    if pool == 1 and limit is None:
        return data
    heads = [split if limit is None else split.head(limit) for split in data.parts.values()]
    splits = [Split(_floats(h.images, torch.arange(len(h)), pool, data.name), h.labels) for h in heads]
    return _together(data.name, splits, data.classes, limit)


def _check_classes(found: Found) -> int:
    """How many there are. There must be enough of each, in the training part where that is to be divided."""
    if len(found.labels) == 0:
        raise DataError(f"{found.where}: too few images: none")
    classes = max(int(found.labels.max()) + 1, len(found.names))
    if classes < 2:
        raise DataError(f"{found.where}: all labels are 0; a search needs two classes or more")
    ours = found.part is not None and VALIDATION not in found.part
    counts = np.bincount(found.labels[found.part == TRAINING] if ours else found.labels, minlength=classes)
    where = " for training" if ours else ""
    if counts.min() == 0:
        empty = ", ".join(found.called(int(label)) for label in np.flatnonzero(counts == 0)[:10])
        raise DataError(
            f"{found.where}: no image of class {empty}{where}: labels must be 0 to {classes - 1} without gaps"
        )
    if counts.min() < _FEWEST:
        raise DataError(
            f"{found.where}: too few images{where}: {counts.min()} of class {found.called(int(counts.argmin()))}; "
            f"at least {_FEWEST} of each are needed"
        )
    return classes


def _groups(images: NDArray[Any]) -> NDArray[np.int64]:
    """(N,): the same number for equal images."""
    seen: dict[bytes, int] = {}
    return np.array(
        [seen.setdefault(hashlib.sha256(image.tobytes()).digest(), len(seen)) for image in images], np.int64
    )


def _parts(found: Found, groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(N,): the part of each image, or that it is left out."""
    everything = np.arange(len(groups))
    if found.part is None:
        return _drawn(found.labels, groups, everything, _ALL_OPEN, rng)
    if VALIDATION in found.part:
        _check_apart(found, groups)
        return found.part
    known = np.isin(groups, groups[found.part == TEST])
    open_ = everything[(found.part == TRAINING) & ~known]
    result = _drawn(found.labels, groups, open_, _TEST_GIVEN, rng)
    result[found.part == TEST] = TEST
    return result


def _check_apart(found: Found, groups: NDArray[np.int64]) -> None:
    assert found.part is not None
    for one, other in ((TRAINING, VALIDATION), (TRAINING, TEST), (VALIDATION, TEST)):
        shared = len(np.intersect1d(groups[found.part == one], groups[found.part == other]))
        if shared:
            raise DataError(
                f"{found.where}: {shared} images are in {_PARTS[one]} and in {_PARTS[other]}; remove them from one"
            )


def _drawn(
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    members: NDArray[np.int64],
    shares: Sequence[float],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Shares of each class among the members; equal images go where the first of them goes."""
    part = np.full(len(labels), _LEFT_OUT, np.int64)
    for label in np.unique(labels[members]):
        of_class = rng.permutation(members[labels[members] == label])
        begin = [round(len(of_class) * share) for share in shares]
        for index, chosen in enumerate(np.split(of_class, begin)):
            part[chosen] = index
    _, first, group = np.unique(groups[members], return_index=True, return_inverse=True)
    part[members] = part[members[first]][group]
    return part


def _floats(images: Tensor, chosen: Tensor, pool: int, where: str) -> Tensor:
    """(len(chosen), C, H / pool, W / pool), float32; bytes become fractions."""
    _, channels, height, width = images.shape
    if height % pool or width % pool:
        raise DataError(
            f"{where}: images of {height} × {width} cannot be pooled by {pool}; take a number that divides both sides"
        )
    result = torch.empty(len(chosen), channels, height // pool, width // pool)
    for begin in range(0, len(chosen), _CHUNK):
        cells = images[chosen[begin : begin + _CHUNK]]
        cells = cells.float().div_(255) if cells.dtype == torch.uint8 else cells
        result[begin : begin + _CHUNK] = F.avg_pool2d(cells, pool) if pool > 1 else cells
    return result


def _together(name: str, splits: Sequence[Split], classes: int, limit: int | None) -> Data:
    train, validation, test = splits
    missing = sorted(set(range(classes)) - set(train.labels.tolist()))
    if limit is not None and missing:
        raise DataError(
            f"{name}: none of the first {limit} training images is of class {', '.join(map(str, missing))}; "
            "raise the limit"
        )
    return Data(name, train, validation, test, classes)
