"""A campaign that takes seconds: three classes of blobs on 8 × 8 images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

CANDIDATES = 6
CONDITIONS = 3


def write_data(path: Path, seed: int = 0) -> None:
    """Images with a bright quarter that tells the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, 240)
    images = rng.normal(0, 0.3, (240, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[0, 4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 1
    np.savez(path, images=images, labels=labels)


def document(**changes: Any) -> dict[str, Any]:
    """The campaign as plain data."""
    plain: dict[str, Any] = {
        "data": "blobs.npz",
        "objectives": ["accuracy", "latency_s@local", "accuracy@iBF(p=0.01)"],
        "space": {"stem": 4, "widths": [[4, 8], [4, 8]], "depth": 1, "kernels": [3, 5], "expansions": [1, 2]},
        "supernet": {"epochs": 2, "batch": 32, "learning_rate": 0.1},
        "search": {"candidates": CANDIDATES, "batch": 3, "strategy": "nsga2", "settings": {"population": 4}},
        "measure": {"warmup_s": 0.01, "min_s": 0.02, "max_s": 0.05, "images": 40},
        "faults": {"models": ["iBF(p=0.001)", "MiBB(p_m=0.001)"], "images": 30, "min_patterns": 5, "max_patterns": 5},
        "audit": {"subnets": 0},
    }
    return {**plain, **changes}


def write(folder: Path, **changes: Any) -> Path:
    """The data and the campaign file in `folder`; the file."""
    write_data(folder / "blobs.npz")
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(document(**changes)), encoding="utf-8")
    return path
