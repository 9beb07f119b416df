"""`gauntlet predict`, from tables made up here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gauntlet.cli.app import run
from search.evaluations import Evaluation
from search.replay.recording import record
from search.spaces.nb201 import Nb201Space
from search.values import Value

pytest.importorskip("pyarrow", reason="recorded tables are Parquet: install pyarrow")
SPACE = Nb201Space()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Forty cells whose latency grows with their MACs."""
    rng = np.random.default_rng(0)
    evaluations = []
    for number in range(40):
        architecture = SPACE.sample(rng)
        seconds = 1e-3 + 1e-10 * SPACE.macs(architecture) * float(np.exp(0.02 * rng.standard_normal()))
        figures = {"latency_s@pi": Value(seconds, seconds * 0.99, seconds * 1.01, 0.95, "order statistics", 200)}
        evaluations.append(Evaluation(number, architecture.text, 0, 0, figures=figures))
    return record(tmp_path, SPACE, evaluations, {}, title="forty cells")


def test_predicted_figures_are_told_from_recorded_ones(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = _known(table)
    assert run(["predict", "--from", str(table), "--sample", "2", text]) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line.rstrip().endswith(("predicted", "replayed"))]
    assert [row[-1] for row in rows] == ["replayed", "predicted", "predicted"]
    assert rows[0][0] == text
    assert "latency_s@pi" in out
    assert "Learned from" in out
    assert "in their intervals" in out


def test_json_has_figures_intervals_origins_and_the_model_s_error(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", "--from", str(table), "--sample", "1", _known(table), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    [figure] = document["figures"]
    recorded, predicted = figure["values"]
    assert (recorded["origin"], predicted["origin"]) == ("replayed", "predicted")
    assert recorded["interval"]["method"] == "order statistics"
    assert predicted["interval"]["low"] < predicted["value"] < predicted["interval"]["high"]
    assert predicted["samples"] == figure["measurements"]
    assert 0 < figure["held_out"]["median_relative_error"] < 0.05
    assert figure["held_out"]["kendall_tau"] > 0.8
    assert 30 <= figure["held_out"]["in_interval"] <= figure["measurements"]
    assert document["space"] == SPACE.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sample", "1", "--figure", "energy_j@pi"], "'forty cells' has 0 measurements of energy_j@pi"),
        (["--sample", "1", "--figure", "latency"], "no such quantity as 'latency'"),
        (["resnet"], "'resnet' is no network of the space"),
        ([], "nothing to predict"),
    ],
)
def test_what_cannot_be_meant_is_one_line_with_a_remedy(
    words: list[str], message: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", "--from", str(table), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "remedy: " in error


def _known(table: Path) -> str:
    from search.replay.table import Table

    return Table.read(table).rows[0]
