"""A user's own images, from a NumPy archive (``.npz``).

====================  ===================================================================================
``images``            (N, H, W), (N, H, W, C) or (N, C, H, W), C = 1 or 3; uint8 (read as 0–1) or floats
``labels``            (N,) integers, 0 … classes − 1
``split``, optional   (N,) of 0 (training), 1 (validation), 2 (test); without it 60, 20 and 20 % of each class
====================  ===================================================================================
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.dataset import DataError
from search.data.parts import Found


def read_archive(path: Path) -> Found:
    """Read an archive with the arrays that the module's table names.

    Args:
        path: the ``.npz`` file; nothing in it is unpickled.

    Raises:
        DataError: the file cannot be read, or its arrays do not fit.
    """
    arrays = _read(path)
    name = path.name
    images, labels = _images(arrays["images"], name), _labels(arrays["labels"], len(arrays["images"]), name)
    part = _split(arrays["split"], len(labels), name) if "split" in arrays else None
    return Found(path.stem, name, images, labels, part)


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
        raise DataError(f"{path.name} cannot be read as a NumPy archive (.npz): {error}") from error


def _images(images: NDArray[Any], name: str) -> NDArray[Any]:
    """(N, C, H, W), uint8 or float32."""
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
        return np.ascontiguousarray(images)
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


def _split(split: NDArray[Any], n: int, name: str) -> NDArray[np.int64]:
    if split.shape != (n,) or split.dtype.kind not in "iu" or not set(np.unique(split)) <= {0, 1, 2}:
        raise DataError(f"{name}: split must hold {n} integers 0 (training), 1 (validation) or 2 (test)")
    for index, what in enumerate(("training", "validation", "test")):
        if not (split == index).any():
            raise DataError(f"{name}: split puts no image into {what} ({index})")
    return split.astype(np.int64)
