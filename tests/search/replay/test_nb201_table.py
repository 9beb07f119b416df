from __future__ import annotations

import os
from pathlib import Path

import pytest

from search.objectives import Objective
from search.replay.nb201 import FILE_NAME, read_nb201
from search.replay.schema import TableError
from search.replay.table import Table
from search.values import Origin

parquet = pytest.importorskip("pyarrow.parquet", reason="recorded tables are Parquet: install pyarrow")


@pytest.fixture(scope="module")
def folder() -> Path:
    found = os.environ.get("GAUNTLET_DATA")
    if not found or not (Path(found) / FILE_NAME).is_file():
        pytest.skip("GAUNTLET_DATA names no folder with NAS-Bench-201's classes")
    return Path(found)


@pytest.fixture(scope="module")
def table(folder: Path) -> Table:
    return read_nb201(folder)


def test_every_class_is_there_in_si_units(folder: Path, table: Table) -> None:
    rows = parquet.read_table(folder / FILE_NAME).to_pylist()
    assert len(table) == len(rows) == 6466
    for row in rows[::500]:
        architecture = table.space.parse(row["arch_str"])
        assert table.figure(architecture, "accuracy").value == row["cifar10_valid_acc_epoch12_pct"] * 0.01
        assert table.figure(architecture, "latency_s@raspi4").value == row["raspi4_latency_ms"] * 1e-3
        assert table.figure(architecture, "energy_j@eyeriss").value == row["eyeriss_energy_mj"] * 1e-3
        assert table.figure(architecture, "accuracy").origin is Origin.REPLAYED


def test_what_the_edge_tpu_cannot_compile_fails_and_what_nobody_tried_is_no_member(table: Table, folder: Path) -> None:
    status = [row["edgetpu_status"] for row in parquet.read_table(folder / FILE_NAME).to_pylist()]
    members = table.members([Objective.parse("latency_s@edgetpu").quantity])
    failures = [table.failure(member, "edgetpu") for member in members]
    assert sum(failure is not None for failure in failures) == status.count("failed") > 0
    assert len(members) == len(status) - status.count("unknown") < len(status)


def test_test_accuracy_is_there_when_chosen(folder: Path, table: Table) -> None:
    test = read_nb201(folder, "test")
    best = max(test.columns["accuracy"].values)
    assert 0.94 < best < 0.95
    assert max(table.columns["accuracy"].values) < best


def test_it_is_written_and_read_as_any_other_table(table: Table, tmp_path: Path) -> None:
    table.write(tmp_path / "nb201.parquet")
    again = Table.read(tmp_path / "nb201.parquet")
    assert (again.rows, again.names, again.failures, again.about) == (
        table.rows,
        table.names,
        table.failures,
        table.about,
    )


def test_another_file_or_accuracy_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="is not the table of NAS-Bench-201's classes"):
        read_nb201(tmp_path)
    with pytest.raises(TableError, match="has no accuracy 'train'"):
        read_nb201(folder, "train")
