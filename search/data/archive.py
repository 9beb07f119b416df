"""A user's own images, from a NumPy archive (``.npz``).

====================  ===================================================================================
``images``            (N, H, W), (N, H, W, C) or (N, C, H, W), C = 1 or 3; uint8 (read as 0–1) or floats
``labels``            (N,) integers, 0 … classes − 1
``split``, optional   (N,) of 0 (training), 1 (validation), 2 (test); without it 60, 20 and 20 % of each class
====================  ===================================================================================
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from search.data.dataset import Data, DataError, Split

_PARTS = ("training", "validation", "test")
_SHARES = (0.6, 0.8)
"""Where validation and test begin."""
_FEWEST = 10
"""Images of a class, below which its shares are a matter of luck."""


def load_archive(path: str | os.PathLike[str], seed: int = 0) -> Data:
    """Read an archive with the arrays that the module's table names.

    Images that are equal, cell by cell, stay in one part.

    Args:
        path: the ``.npz`` file; nothing in it is unpickled.
        seed: of the split, where the archive has none, and of the order.

    Raises:
        DataError: the file cannot be read, or its arrays do not fit.
    """
    path = Path(path)
    arrays = _read(path)
    name = path.name
    images, labels = _images(arrays["images"], name), _labels(arrays["labels"], len(arrays["images"]), name)
    classes = int(labels.max()) + 1
    counts = np.bincount(labels, minlength=classes)
    if classes < 2:
        raise DataError(f"{name}: all labels are 0; a search needs two classes or more")
    if counts.min() == 0:
        empty = ", ".join(map(str, np.flatnonzero(counts == 0)[:10]))
        raise DataError(f"{name}: no image of class {empty}: labels must be 0 to {classes - 1} without gaps")
    if counts.min() < _FEWEST:
        raise DataError(
            f"{name}: too few images: {counts.min()} of class {counts.argmin()}; at least {_FEWEST} of each are needed"
        )
    groups = _groups(images)
    rng = np.random.default_rng(seed)
    if "split" in arrays:
        part = _given_split(arrays["split"], len(labels), groups, name)
    else:
        part = _drawn_split(labels, groups, rng)
    order = rng.permutation(len(labels))
    splits = [order[part[order] == index] for index in range(3)]
    train, validation, test = (Split(torch.from_numpy(images[i]), torch.from_numpy(labels[i])) for i in splits)
    return Data(path.stem, train, validation, test, classes)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path.name} is one array, not an archive: write it with numpy.savez(…, images=, labels=)")
        with archive:
            missing = {"images", "labels"} - set(archive.files)
            if missing:
                found = ", ".join(archive.files) or "nothing"
                raise DataError(f"{path.name} lacks {' and '.join(sorted(missing))}; it holds {found}")
            return {key: archive[key] for key in ("images", "labels", "split") if key in archive.files}
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path.name} cannot be read as a NumPy archive: {error}") from error


def _images(images: NDArray[Any], name: str) -> NDArray[np.float32]:
    """(N, C, H, W), float32."""
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4:
        first, last = images.shape[1] in (1, 3), images.shape[3] in (1, 3)
        if first == last:
            raise DataError(
                f"{name}: images of shape {images.shape}: it cannot be told which dimension holds the channels; there "
                "must be 1 or 3 of them, second or last"
            )
        images = images if first else images.transpose(0, 3, 1, 2)
    else:
        raise DataError(f"{name}: images must be (N, H, W), (N, H, W, C) or (N, C, H, W): {images.shape}")
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images, dtype=np.float32) / np.float32(255)
    if images.dtype.kind != "f":
        raise DataError(f"{name}: images must be uint8 or floats, not {images.dtype}")
    result = np.ascontiguousarray(images, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(result).all(axis=(1, 2, 3)))
    if len(bad):
        raise DataError(f"{name}: {len(bad)} images hold NaN or infinity, the first is number {bad[0]}")
    return result


def _labels(labels: NDArray[Any], n: int, name: str) -> NDArray[np.int64]:
    if labels.shape != (n,):
        raise DataError(f"{name}: {n} images need labels of shape ({n},): {labels.shape}")
    if n == 0:
        raise DataError(f"{name}: too few images: none")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{name}: labels must be integers 0 … classes − 1, not {labels.dtype}")
    if labels.min() < 0 or labels.max() >= n:
        raise DataError(f"{name}: labels go from {labels.min()} to {labels.max()}; they must be 0 … classes − 1")
    return labels.astype(np.int64)


def _groups(images: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,): the same number for equal images."""
    seen: dict[bytes, int] = {}
    return np.array(
        [seen.setdefault(hashlib.sha256(image.tobytes()).digest(), len(seen)) for image in images], np.int64
    )


def _given_split(split: NDArray[Any], n: int, groups: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    if split.shape != (n,) or split.dtype.kind not in "iu" or not set(np.unique(split)) <= {0, 1, 2}:
        raise DataError(f"{name}: split must hold {n} integers 0 (training), 1 (validation) or 2 (test)")
    part = split.astype(np.int64)
    for index, what in enumerate(_PARTS):
        if not (part == index).any():
            raise DataError(f"{name}: split puts no image into {what} ({index})")
    for one, other in ((0, 1), (0, 2), (1, 2)):
        shared = len(np.intersect1d(groups[part == one], groups[part == other]))
        if shared:
            raise DataError(
                f"{name}: {shared} images are in {_PARTS[one]} and in {_PARTS[other]}; remove them from one"
            )
    return part


def _drawn_split(labels: NDArray[np.int64], groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Shares of each class; equal images go where the first of them goes."""
    part = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        begin = [round(len(members) * share) for share in _SHARES]
        for index, chosen in enumerate(np.split(members, begin)):
            part[chosen] = index
    _, first = np.unique(groups, return_index=True)
    result: NDArray[np.int64] = part[first][groups]
    return result
