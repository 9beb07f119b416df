"""IDX files, as MNIST and its successors come: images and labels, to learn from and to test with, packed or not.

A file is two zero bytes, the type of its cells (8: unsigned bytes), the number of dimensions, each dimension as four
bytes (big-endian), then the cells (LeCun et al. 1998).
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.data.dataset import DataError
from search.data.parts import TEST, TRAINING, Found

_PREFIXES = {TRAINING: "train", TEST: "t10k"}
_KINDS = {"images": 3, "labels": 1}
_MOST_EXPANSION = 1032
"""Of deflate (zlib's technical notes): a header that promises more than this lies, and is not given memory."""


def is_idx(folder: Path) -> bool:
    """Is one of the four files there, packed or not?"""
    return any(_find(folder, prefix, kind) for prefix in _PREFIXES.values() for kind in _KINDS)


def read_idx(folder: Path) -> Found:
    """Read ``train-`` and ``t10k-`` ``images-idx3-ubyte`` and ``labels-idx1-ubyte``, each with ``.gz`` or without.

    Args:
        folder: that holds the four.

    Raises:
        DataError: one is missing, damaged or cut off; images and labels, or the two parts, do not fit each other.
    """
    images, labels, parts = [], [], []
    for part, prefix in _PREFIXES.items():
        pixels, classes = (_read(_found(folder, prefix, kind), _KINDS[kind]) for kind in _KINDS)
        if len(pixels) != len(classes):
            raise DataError(
                f"{folder.name}: {len(pixels):,} {prefix} images and {len(classes):,} {prefix} labels; they must be "
                "equally many: fetch both again"
            )
        images.append(pixels[:, None])
        labels.append(classes.astype(np.int64))
        parts.append(np.full(len(pixels), part, np.int64))
    train, test = (found.shape[2:] for found in images)
    if train != test:
        raise DataError(f"{folder.name}: training images are {_size(train)}, test images {_size(test)}")
    known = int(labels[0].max(initial=-1))
    if int(labels[1].max(initial=-1)) > known:
        raise DataError(f"{folder.name}: test labels go to {labels[1].max()}, training labels to {known} only")
    return Found(folder.name, folder.name, np.concatenate(images), np.concatenate(labels), np.concatenate(parts))


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _find(folder: Path, prefix: str, kind: str) -> Path | None:
    # Some unpackers write train-images.idx3-ubyte.
    names = [f"{prefix}-{kind}{mark}idx{_KINDS[kind]}-ubyte{packed}" for packed in ("", ".gz") for mark in "-."]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _found(folder: Path, prefix: str, kind: str) -> Path:
    path = _find(folder, prefix, kind)
    if path is None:
        raise DataError(
            f"{folder}: {prefix}-{kind}-idx{_KINDS[kind]}-ubyte[.gz] is missing; four files belong together"
        )
    return path


def _read(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The cells, (N, H, W) or (N,)."""
    where = f"{path.parent.name}/{path.name}"
    packed = path.suffix == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            head = file.read(4 + 4 * dimensions)
            if len(head) < 4 + 4 * dimensions or head[:4] != bytes([0, 0, 8, dimensions]):
                raise DataError(
                    f"{where} does not begin like an IDX file of bytes in {dimensions} dimensions; fetch it again"
                )
            shape = tuple(int(size) for size in np.frombuffer(head, ">u4", offset=4))
            cells = math.prod(shape)
            most = path.stat().st_size * (_MOST_EXPANSION if packed else 1)
            content = file.read(cells + 1) if cells <= most else b""
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{where} is damaged or cut off ({error}); fetch it again") from error
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror or error}") from error
    if len(content) != cells:
        what = "is cut off" if len(content) < cells else "holds more"
        raise DataError(f"{where} promises {_size(shape)} bytes and {what}; fetch it again")
    return np.frombuffer(content, np.uint8).reshape(shape)
