from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.errors import ObjectiveError
from search.objectives import Objective, Quantity
from search.replay.schema import TableError
from search.replay.table import NO_RECORD, Column, Table
from search.spaces.base import Architecture
from search.spaces.ftt import FttSpace
from search.spaces.mobile import MobileSpace
from search.spaces.nb201 import Nb201Space
from search.values import Origin, Value
from tests.search.replay.tables import CELLS, NAN, small_table

pa = pytest.importorskip("pyarrow", reason="recorded tables are Parquet: install pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

FIRST, SECOND, FAILING, LAST = map(Architecture, CELLS)


def quantities(*texts: str) -> list[Quantity]:
    return [Objective.parse(text).quantity for text in texts]


def changed(path: Path, metadata: dict[str, Any] | bytes | None = None, **columns: Any) -> Path:
    """The small table's file with other columns (None: without), or another metadata object."""
    file = path / "table.parquet"
    small_table().write(file)
    content = pq.read_table(file)
    about = content.schema.metadata[b"gauntlet"]
    if isinstance(metadata, dict):
        about = json.dumps({**json.loads(about), **metadata}).encode()
    elif metadata is not None:
        about = metadata
    held = {name: content.column(name) for name in content.column_names} | columns
    kept = {name: column for name, column in held.items() if column is not None}
    pq.write_table(pa.table(kept).replace_schema_metadata({b"gauntlet": about}), file)
    return file


def refusal(file: Path) -> str:
    with pytest.raises(TableError) as caught:
        Table.read(file)
    assert "\n" not in caught.value.message
    assert caught.value.message.startswith(str(file))
    assert caught.value.remedy
    return caught.value.message.removeprefix(f"{file}: ")


# -------------------------------------------------------------------------------------------------- what it gives


def test_figures_are_replayed_whatever_they_were_when_they_were_recorded() -> None:
    value = small_table().figure(FIRST, "latency_s@pi")
    assert value == Value(0.030, 0.029, 0.031, 0.95, "order statistics", 100, Origin.REPLAYED)


def test_a_figure_without_interval_has_none() -> None:
    assert small_table().figure(FAILING, "latency_s@pi") == Value(0.010, samples=300, origin=Origin.REPLAYED)


def test_an_interval_without_end_is_none(tmp_path: Path) -> None:
    file = changed(tmp_path, **{"latency_s@pi.low": [0.0] * 4, "latency_s@pi.high": [np.inf] * 4})
    assert Table.read(file).figure(FIRST, "latency_s@pi") == Value(0.030, samples=100, origin=Origin.REPLAYED)


def test_what_could_not_be_had_is_told_from_what_nobody_recorded() -> None:
    table = small_table()
    assert table.figure(SECOND, "energy_j@pi") == Value.missing("the meter was unplugged", Origin.REPLAYED)
    assert table.figure(LAST, "latency_s@tpu") == Value.missing(NO_RECORD, Origin.REPLAYED)
    assert table.figure(FIRST, "energy_j@tpu") == Value.missing(NO_RECORD, Origin.REPLAYED)
    assert table.figure(Architecture("3-33-333"), "accuracy") == Value.missing(NO_RECORD, Origin.REPLAYED)


def test_an_evaluation_holds_what_was_asked_for_and_counts_the_architecture() -> None:
    table = small_table()
    told = table.evaluation(7, FIRST, quantities("accuracy", "latency_s@pi", "macs"))
    assert (told.number, told.architecture, told.failure) == (7, FIRST.text, None)
    assert dict(told.figures) == {name: table.figure(FIRST, name) for name in ("accuracy", "latency_s@pi")}
    assert (told.macs, told.parameters) == (table.space.macs(FIRST), table.space.parameters(FIRST))
    assert told.stage_s == {"measurement": 2.0}


def test_an_evaluation_holds_aggregates() -> None:
    told = small_table().evaluation(0, FIRST, quantities("worst(latency_s@pi/0.02, latency_s@tpu/0.01)"))
    assert told.value("worst(latency_s@pi/0.02, latency_s@tpu/0.01)").value == pytest.approx(1.5)


def test_a_failure_counts_on_its_device_only() -> None:
    table = small_table()
    failed = table.evaluation(0, FAILING, quantities("latency_s@pi", "latency_s@tpu")).failure
    assert failed is not None
    assert (failed.kind, failed.message) == ("unsupported operation", "AVERAGE_POOL_2D")
    assert table.evaluation(0, FAILING, quantities("latency_s@pi")).failure is None
    assert table.evaluation(0, FAILING).failure == failed


def test_members_are_those_of_which_everything_is_recorded_failures_and_reasons_included() -> None:
    table = small_table()
    assert table.members(quantities("accuracy", "latency_s@pi", "parameters")) == [FIRST, SECOND, FAILING, LAST]
    assert table.members(quantities("latency_s@tpu", "energy_j@pi")) == [FIRST, SECOND, FAILING]
    assert table.members(quantities("average(latency_s@pi/1, latency_s@tpu/1)")) == [FIRST, SECOND, FAILING]
    assert table.members(quantities("energy_j@tpu")) == [FAILING]


def test_an_objective_that_no_device_of_the_table_delivers_is_named_with_what_there_is() -> None:
    small_table().check(quantities("accuracy", "macs", "worst(latency_s@pi/1, latency_s@tpu/1)"))
    with pytest.raises(ObjectiveError, match="'four cells' has no latency_s@pie") as caught:
        small_table().check(quantities("accuracy", "latency_s@pie"))
    assert caught.value.remedy.startswith("did you mean latency_s@pi? there are accuracy, latency_s@pi, ")


def test_an_objective_that_was_never_had_is_refused_with_the_reason() -> None:
    column = Column(np.full(4, NAN), unavailable=dict.fromkeys(range(4), "no RAPL in this container"))
    table = small_table(columns={**small_table().columns, "energy_j@tpu": column})
    with pytest.raises(ObjectiveError, match="'four cells' has no energy_j@tpu: no RAPL in this container"):
        table.check(quantities("energy_j@tpu"))


def test_devices_are_those_that_columns_name() -> None:
    assert small_table().devices == ("pi", "tpu")


# ----------------------------------------------------------------------------------------------------- its file


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table, file = small_table(), tmp_path / "table.parquet"
    table.write(file)
    again = Table.read(file)
    assert (again.about, again.space, again.rows, again.names) == (table.about, table.space, table.rows, table.names)
    assert again.failures == table.failures
    assert [again.columns[name].facts for name in again.names] == [c.facts for c in table.columns.values()]
    for text in CELLS:
        assert again.evaluation(3, Architecture(text)) == table.evaluation(3, Architecture(text))
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "space", [MobileSpace((1, 8, 8), 10, widths=((4, 8), (8, 12))), FttSpace((1, 16, 16), 5, steps=2)]
)
def test_a_table_of_any_space_is_read_with_its_space(space: MobileSpace | FttSpace, tmp_path: Path) -> None:
    text = space.sample(np.random.default_rng(0)).text
    small_table(space=space, rows=[text], columns={}, failures={}, measure_s=None).write(tmp_path / "t.parquet")
    assert Table.read(tmp_path / "t.parquet").space == space


def test_a_table_is_refused_for_another_space(tmp_path: Path) -> None:
    small_table().write(tmp_path / "t.parquet")
    with pytest.raises(TableError, match="it is of the space nb201-3x32x32-10-c16-n5, not nb201-3x32x32-100-c16-n5"):
        Table.read(tmp_path / "t.parquet", Nb201Space(classes=100))


def test_architectures_and_fault_conditions_may_be_spelled_in_other_ways(tmp_path: Path) -> None:
    ours = "accuracy@iBF(p=0.001, per=bit)"
    file = changed(
        tmp_path,
        architecture=[
            "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
            *CELLS[1:],
        ],
        **{ours: None, f"{ours}.low": None, f"{ours}.high": None, f"{ours}.samples": None},
        **{"accuracy@iBF( p=1e-3 )": [0.6, 0.7, 0.4, None], "accuracy@drift(days=1)": [0.1, 0.1, 0.1, 0.1]},
    )
    table = Table.read(file)
    assert table.rows == small_table().rows
    assert table.figure(FIRST, ours).value == 0.6
    assert table.figure(FIRST, "accuracy@drift(days=1)").value == 0.1


def test_whole_numbers_and_single_precision_are_numbers(tmp_path: Path) -> None:
    file = changed(
        tmp_path, **{"energy_j@pi": pa.array([1, None, 2, 3]), "latency_s@tpu": pa.array([1, 2, 3, 4], pa.float32())}
    )
    table = Table.read(file)
    assert (table.figure(FIRST, "energy_j@pi").value, table.figure(LAST, "latency_s@tpu").value) == (1.0, 4.0)


def test_what_is_no_number_is_missing_and_says_so(tmp_path: Path) -> None:
    table = Table.read(changed(tmp_path, **{"latency_s@tpu": pa.array([NAN, np.inf, None, 0.1], from_pandas=False)}))
    assert table.figure(FIRST, "latency_s@tpu") == Value.missing("the table holds nan", Origin.REPLAYED)
    assert table.figure(SECOND, "latency_s@tpu") == Value.missing("the table holds inf", Origin.REPLAYED)


# ---------------------------------------------------------------------------------------------------- bad files


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.parquet").endswith("cannot be read: No such file or directory")


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"architecture,accuracy\n3-3p-s3s,0.9\n", b"PAR1" + bytes(99) + b"PAR1"]
)
def test_a_file_that_is_no_parquet_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "table.parquet"
    file.write_bytes(content)
    assert refusal(file).endswith("is no Parquet file, or a damaged one")


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (b"nonsense", "the key 'gauntlet' of its metadata is no JSON object with a format"),
        (b"[]", "the key 'gauntlet' of its metadata is no JSON object with a format"),
        ({"format": 2, "software_version": "9.1"}, "it is a table of format 2, by Gauntlet 9.1; this version reads 1"),
        (b'{"format": 1, "title": "x"}', "its metadata lacks 'space'"),
        ({"devices": []}, "its metadata is damaged: 'list' object has no attribute 'items'"),
        ({"space": {"kind": "choices", "name": "mine"}}, "its space 'mine' cannot be made from the table alone"),
        ({"space": {"kind": "nb201", "cells": 0}}, "its space 'nb201' has settings that make none"),
        ({"space": {"kind": "nb201", "sells": 5}}, "its space 'nb201' has settings that make none"),
    ],
)
def test_metadata_that_cannot_be_meant_is_refused(metadata: Any, words: str, tmp_path: Path) -> None:
    assert refusal(changed(tmp_path, metadata)).startswith(words)


def test_a_parquet_file_of_something_else_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    assert refusal(tmp_path / "x.parquet").startswith("its metadata has no key 'gauntlet'")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"architecture": None}, "it has no column 'architecture'"),
        ({"latency_ms@pi": [1.0] * 4}, "column 'latency_ms@pi': 'latency_ms@pi': no such quantity as 'latency_ms'"),
        ({"latency_s": [1.0] * 4}, "column 'latency_s': 'latency_s' does not say on which device"),
        ({"macs": [1.0] * 4}, "column 'macs': macs is counted by the space, not recorded"),
        ({"failure@": ["x"] * 4}, "column 'failure@'"),
        (
            {"accuracy@iBF(p=1e-3)": [0.1] * 4},
            "its columns 'accuracy@iBF(p=0.001, per=bit)' and 'accuracy@iBF(p=1e-3)' are",
        ),
        ({"accuracy": ["0.9"] * 4}, "column 'accuracy' holds string, not numbers"),
        ({"accuracy.samples": [0.5] * 4}, "column 'accuracy.samples' holds double, not whole numbers"),
        ({"accuracy.samples": [-1] * 4}, "accuracy.samples counts fewer than none"),
        ({"architecture": [1, 2, 3, 4]}, "column 'architecture' holds int64, not text"),
        ({"latency_s@pi.low": None}, "latency_s@pi has one end of its interval only"),
        ({"peak_memory_bytes@pi.low": [1.0] * 4}, "there is peak_memory_bytes@pi.low, and no column"),
        ({"energy_j@pi.unavailable": ["why"] * 4}, "energy_j@pi in row 0 has a figure, and a reason"),
        ({"latency_s@pi.low": [0.5] * 4}, "latency_s@pi of 3-3p-s3s (row 0) has the interval 0.5 to 0.031"),
        ({"latency_s@tpu": [0.1, -0.1, 0.1, 0.1]}, "latency_s@tpu of 1-11-111 (row 1) is -0.1"),
        ({"accuracy": [93.0, 92.0, 91.0, 90.0]}, "accuracy of 3-3p-s3s (row 0) is 93"),
        ({"architecture": ["3-3p-s3s", "3-3p-s3s", "n-nn-pnn", "n-nn-3nn"]}, "rows 0 and 1 are one architecture"),
        ({"architecture": ["3-3p-s3s", "nn", "n-nn-pnn", "n-nn-3nn"]}, "row 1: 'nn' is no network of the space nb201-"),
        ({"architecture": ["3-3p-s3s", None, "n-nn-pnn", "n-nn-3nn"]}, "row 1: '' is no network of the space nb201-"),
        ({"measure_s": [1.0, -1.0, 1.0, 1.0]}, "measure_s holds negative seconds"),
        ({"failure@tpu": ["it broke", None, None, None]}, "failure@tpu in row 0 is 'it broke'"),
        ({"failure@tpu": ["device lost: gone", None, None, None]}, "failure@tpu in row 0 is 'device lost: gone'"),
        ({"failure": ["not exportable", None, None, None]}, "failure in row 0 is 'not exportable'"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(columns: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert refusal(changed(tmp_path, **columns)).startswith(words)


def test_two_spellings_of_one_architecture_are_named(tmp_path: Path) -> None:
    # A cell without a live edge is the same whatever its dead edges are.
    file = changed(tmp_path, architecture=["n-nn-nnn", "3-nn-nnn", "n-nn-pnn", "n-nn-3nn"])
    assert refusal(file) == "rows 0 and 1 are one architecture: '3-nn-nnn', which the other spells 'n-nn-nnn'"


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(TableError, match="accuracy has 1 figures for 4 rows"):
        small_table(columns={"accuracy": Column(np.array([0.5]))})


def test_a_disk_that_takes_no_table_is_named_and_keeps_the_one_it_has(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be written: No such file or directory"):
        small_table().write(tmp_path / "none" / "table.parquet")
