"""The binary layout of CIFAR-10: five files to learn from and one to test with.

A record is a label (one byte, 0–9) and 3 × 32 × 32 bytes: the red plane row by row, then the green one, then the blue
one. All six files hold equally many, 10,000 in the data set of Krizhevsky (2009); there is no header.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.data.dataset import DataError
from search.data.parts import TEST, TRAINING, Found

_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = "test_batch.bin"
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32
_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def is_cifar(folder: Path) -> bool:
    """Is one of the six files there?"""
    return any((folder / name).is_file() for name in (*_BATCHES, _TEST))


def read_cifar(folder: Path) -> Found:
    """Read the six files.

    Args:
        folder: that holds them.

    Raises:
        DataError: one is missing, ends within a record, or holds fewer than the others; a label above 9.
    """
    missing = [name for name in (*_BATCHES, _TEST) if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder}: {', '.join(missing)} missing from the six files of CIFAR-10; unpack them all")
    files = [_records(folder / name) for name in (*_BATCHES, _TEST)]
    for name, file in zip((*_BATCHES, _TEST), files, strict=True):
        if len(file) != len(files[0]):
            raise DataError(
                f"{folder.name}/{name} holds {len(file):,} images where {_BATCHES[0]} holds {len(files[0]):,}; "
                "one of them is cut off: unpack it again"
            )
    images = np.concatenate([file[:, 1:] for file in files]).reshape(-1, *_SHAPE)
    labels = np.concatenate([file[:, 0] for file in files]).astype(np.int64)
    part = np.repeat([TRAINING] * len(_BATCHES) + [TEST], len(files[0]))
    return Found("cifar10", folder.name, images, labels, part, tuple(_CLASSES))


def _records(path: Path) -> NDArray[np.uint8]:
    """(N, 3073)."""
    where = f"{path.parent.name}/{path.name}"
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror}") from error
    if len(content) == 0 or len(content) % _RECORD:
        raise DataError(
            f"{where} is {len(content):,} bytes long, which is no whole number of records of {_RECORD:,}; it is cut "
            "off or something else: unpack it again"
        )
    records = content.reshape(-1, _RECORD)
    wrong = np.flatnonzero(records[:, 0] >= len(_CLASSES))
    if len(wrong):
        raise DataError(
            f"{where}: record {wrong[0]:,} has label {records[wrong[0], 0]}; labels are 0 to 9, so this is not the "
            "binary layout of CIFAR-10, or it is damaged: unpack it again"
        )
    return records
