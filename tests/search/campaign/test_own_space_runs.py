"""A whole campaign over a user's own space, on a real lab: trained alone, and going on where a builder fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from search.runlog import read_history
from tests.search.campaign import tiny
from tests.search.campaign.test_campaign_runs import start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BUILDER = """
from torch import nn

def build(depth, width):
    if width == 6:
        raise RuntimeError("six is not allowed")
    layers, channels = [], 1
    for _ in range(depth):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4 * width, 3))
"""


def test_a_builder_that_raises_costs_its_network_and_not_the_campaign(tmp_path: Path) -> None:
    tiny.write_data(tmp_path / "blobs.npz")
    (tmp_path / "mine.py").write_text(BUILDER)
    plain = {
        "data": "blobs.npz",
        "space": {"kind": "choices", "builder": "mine.py:build", "choices": {"depth": [1, 2], "width": [4, 6, 8]}},
        "training": {"epochs": 2},
        "objectives": ["accuracy", "latency_s@local"],
        "search": {"strategy": "nsga2", "settings": {"population": 3}, "candidates": 6, "batch": 3},
        "measure": {"warmup_s": 0.01, "min_s": 0.02, "max_s": 0.05, "images": 40},
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(plain))
    process = start(tmp_path, path, "--run", tmp_path / "run")
    said, _ = process.communicate(timeout=250)
    assert process.returncode == 0, said
    told = read_history(tmp_path / "run").evaluations
    assert len(told) == 6  # the whole space
    failed = {e.architecture: e.failure for e in told if e.failure is not None}
    assert set(failed) == {"depth1-width6", "depth2-width6"}
    for name, failure in failed.items():
        assert name in failure.message
        assert "six is not allowed" in failure.message
        assert failure.step == "building"
    good = [e for e in told if e.failure is None]
    assert all(e.value("latency_s@local").value and e.value("trained_accuracy").value for e in good)
    cards = list((tmp_path / "run" / "winners").glob("*.json"))
    assert cards
    assert json.loads(cards[0].read_text())["confirmed_on"]["figures"]["accuracy"]["value"] > 0.3
    assert cards[0].with_suffix(".tflite").exists()
