"""Models for drills, made here so that drills need no data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from search.export import export_tflite
from tests.drills.processes import Lab


def export(module: nn.Module, *shape: int) -> bytes:
    return export_tflite(module.eval(), shape).data


@pytest.fixture(scope="session")
def small_model() -> bytes:
    """Takes microseconds."""
    torch.manual_seed(0)
    body = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    return export(nn.Sequential(*body), 1, 1, 8, 8)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    try:
        yield lab
    finally:
        lab.close()
