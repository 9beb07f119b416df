"""CIFAR-10 at 16 × 16 for benchmarks that train for minutes, and the options that they share."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks._lab import DATA
from search.data import Data, load

_IMAGES = 6000


def small_cifar10(folder: Path) -> Data | None:
    """6,000 training images, 5,000 for validation and 6,000 for testing, 3 × 16 × 16; None if there is no such folder.

    Raises:
        DataError: there is one, with something else in it.
    """
    return load(folder, pool=2, limit=_IMAGES) if folder.is_dir() else None


def absent(folder: Path) -> str:
    """Why a benchmark is skipped."""
    return f"no CIFAR-10 in {folder}; --data names the folder of its binary files"


def parser() -> argparse.ArgumentParser:
    """Where the images are, and where results go."""
    made = argparse.ArgumentParser(add_help=False)
    made.add_argument("--data", type=Path, default=DATA / "cifar-10-batches-bin", metavar="FOLDER", help="CIFAR-10")
    made.add_argument("--out", type=Path, metavar="FILE", help="keep the results there, and go on with those that are")
    return made
