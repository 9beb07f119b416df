"""A data set by its name: which kind it is shows in what is there."""

from __future__ import annotations

import os
from pathlib import Path

from search.data.archive import read_archive
from search.data.cifar import is_cifar, read_cifar
from search.data.dataset import Data, DataError
from search.data.digits import load_digits
from search.data.folders import SUFFIXES, is_folders, read_folders
from search.data.idx import is_idx, read_idx
from search.data.parts import Found, divided, reduced

DIGITS = "digits"
"""The name of the data set that is not read from anywhere."""
_LOOKED_FOR = (
    "a NumPy archive (.npz), or a folder with CIFAR-10's data_batch_1.bin …, with MNIST's "
    f"train-images-idx3-ubyte[.gz] …, or with a folder of images ({', '.join(SUFFIXES)}) for each class"
)


def load(source: str | os.PathLike[str], seed: int = 0, *, pool: int = 1, limit: int | None = None) -> Data:
    """Read a data set of any kind.

    Args:
        source: ``digits``, or the path of a NumPy archive, of a folder with CIFAR-10's binary files or with IDX files,
            or of image folders.
        seed: of what is divided or drawn here, and of the order; not negative.
        pool: side of the squares of cells that are averaged into one; 2 makes 16 × 16 of 32 × 32.
        limit: most images of a part; all if None.

    Raises:
        DataError: nothing of that kind is there, or it makes no data set: which file, and what to do.
    """
    if source == DIGITS:
        return reduced(load_digits(seed), pool, limit)
    return divided(_found(Path(source)), seed, pool, limit)


def _found(path: Path) -> Found:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file():
        return read_archive(path)
    try:
        if is_cifar(path):
            return read_cifar(path)
        if is_idx(path):
            return read_idx(path)
        if is_folders(path):
            return read_folders(path)
    except PermissionError as error:
        raise DataError(f"{error.filename or path} may not be read: {error.strerror}") from error
    raise DataError(f"{path} is none of these: {_LOOKED_FOR}")
