"""What counts as measured alike, where nothing is measured at all."""

from __future__ import annotations

from pathlib import Path

import yaml

from search.campaign import warm_start
from search.campaign.campaign import create
from search.campaign.config import load
from search.campaign.problem import Problem
from search.evaluations import Evaluation
from search.values import Value
from tests.search.campaign import tiny

BUILDER = """
from torch import nn

def build(width):{change}
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 3))
"""


def test_a_function_that_has_changed_since_builds_other_networks(tmp_path: Path) -> None:
    tiny.write_data(tmp_path / "blobs.npz")
    path = tmp_path / "mine.yaml"
    plain = {
        "data": "blobs.npz",
        "space": {"kind": "choices", "builder": "mine.py:build", "choices": {"width": [4, 6, 8]}},
        "objectives": ["accuracy", "latency_s@local"],
    }
    path.write_text(yaml.safe_dump(plain))
    (tmp_path / "mine.py").write_text(BUILDER.format(change=""))
    with create(tmp_path / "earlier", load(path)) as log:
        log.note("space", Problem.of(load(path)).space.name)
        log.asked(["width4"])
        figures = {"accuracy": Value(0.5), "latency_s@local": Value(0.001)}
        log.told(Evaluation(0, "width4", 1, 1, figures=figures))
    path.write_text(yaml.safe_dump({**plain, "warm_start": ["earlier"]}))
    for change, known in (("", 1), ("  # another", 0)):
        (tmp_path / "mine.py").write_text(BUILDER.format(change=change))
        with create(tmp_path / f"later{known}", load(path)) as log:
            assert warm_start.enter(log, Problem.of(load(path)), lambda text: None) == known
            assert len(warm_start.learned(log.history)) == 1 - known
