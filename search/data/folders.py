"""Images in folders, one for each class.

::

    ROOT/CLASS/*.png                      divided here
    ROOT/{train,test}/CLASS/*.png         the test part is given
    ROOT/{train,val,test}/CLASS/*.png     all is given

``.png``, ``.jpg`` and ``.jpeg`` are read, other files and hidden ones left aside. **One size**: the one that most
images of the data set have, of equally frequent ones the narrowest. Other images are scaled to cover it, and what
stands out on two sides is cut off evenly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.data.dataset import DataError
from search.data.parts import TEST, TRAINING, VALIDATION, Found

SUFFIXES = (".png", ".jpg", ".jpeg")
_NAMES = {"train": TRAINING, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "test": TEST}
_CHANNELS = {"1": 1, "L": 1, "RGB": 3, "P": 3, "CMYK": 3, "YCbCr": 3}
"""Of Pillow's modes; those with transparency or 16 bits lose something that is better lost on purpose."""
_MOST_BYTES = 8 * 2**30
_ORIENTATION = 0x0112
"""The EXIF tag; from 5 on the image lies on its side."""


@dataclass(frozen=True)
class _File:
    path: Path
    label: int
    part: int | None


def is_folders(folder: Path) -> bool:
    """Are there folders with images in them, or parts with such folders?"""
    roots = _parts(folder).values() or [folder]
    return any(_images(one) for root in roots for one in _folders(root))


def read_folders(folder: Path) -> Found:
    """Read all images.

    Args:
        folder: ROOT in the module's picture.

    Raises:
        DataError: Pillow is not installed; an image that cannot be read, grey and coloured ones mixed, a class without
            images, parts with different classes.
    """
    parts = _parts(folder)
    if parts and not {TRAINING, TEST} <= parts.keys():
        raise DataError(f"{folder}: train and test belong together (val is drawn from train if it is not there)")
    roots: dict[int | None, Path] = dict(parts.items()) if parts else {None: folder}
    classes = [one.name for one in _folders(next(iter(roots.values())))]
    files: list[_File] = []
    for part, root in roots.items():
        here = [one.name for one in _folders(root)]
        if here != classes:
            other = sorted(set(here) ^ set(classes))[0]
            raise DataError(
                f"{folder.name}: class {other} is not in all of {', '.join(p.name for p in roots.values())}"
            )
        for label, one in enumerate(_folders(root)):
            found = _images(one)
            if not found:
                raise DataError(f"{one.relative_to(folder.parent)} holds no images ({', '.join(SUFFIXES)})")
            files += [_File(path, label, part) for path in found]
    images = _pixels(files, folder)
    labels = np.array([file.label for file in files], np.int64)
    given = np.array([file.part for file in files], np.int64) if parts else None
    return Found(folder.name, folder.name, images, labels, given, tuple(classes))


def _parts(folder: Path) -> dict[int, Path]:
    return {part: folder / name for name, part in _NAMES.items() if (folder / name).is_dir()}


def _folders(root: Path) -> list[Path]:
    return sorted(one for one in root.iterdir() if one.is_dir() and not one.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    files = (one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES and not one.name.startswith("."))
    return sorted(one for one in files if one.is_file())


def _pixels(files: list[_File], folder: Path) -> NDArray[np.uint8]:
    """(N, C, H, W)."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise DataError("image folders are read with Pillow: pip install pillow") from error
    where = [str(file.path.relative_to(folder.parent)) for file in files]
    sizes: Counter[tuple[int, int]] = Counter()
    first_of: dict[int, str] = {}
    for file, name in zip(files, where, strict=True):
        with _named(name), Image.open(file.path) as image:
            if image.mode not in _CHANNELS or "transparency" in image.info:
                raise DataError(
                    f"{name} has transparency or 16 bits (mode {image.mode}); save it in RGB or 8 bits of grey"
                )
            first_of.setdefault(_CHANNELS[image.mode], name)
            turned = image.getexif().get(_ORIENTATION, 1) >= 5
            sizes[image.size[::-1] if turned else image.size] += 1
    if len(first_of) > 1:
        raise DataError(f"{first_of[1]} is grey and {first_of[3]} coloured; save all images alike")
    (channels,) = first_of
    width, height = min(sizes, key=lambda size: (-sizes[size], size))
    if (cells := len(files) * channels * height * width) > _MOST_BYTES:
        raise DataError(
            f"{folder.name}: {len(files):,} images of {width} × {height} are {cells / 2**30:.0f} GiB; "
            "scale them down first"
        )
    result = np.empty((len(files), channels, height, width), np.uint8)
    for index, (file, name) in enumerate(zip(files, where, strict=True)):
        with _named(name), Image.open(file.path) as image:
            upright = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
            if upright.size != (width, height):
                upright = ImageOps.fit(upright, (width, height), Image.Resampling.BILINEAR)
            result[index] = np.asarray(upright, np.uint8).reshape(height, width, channels).transpose(2, 0, 1)
    return result


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Whatever Pillow raises on a broken file becomes one line with the file's name."""
    from PIL import Image

    try:
        yield
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{where} cannot be read as an image ({error}); replace or remove it") from error
