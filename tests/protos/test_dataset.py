"""Data sets as artifacts."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protos import dataset
from protos.contract import digest_of_file
from protos.dataset import DataSet, DataSetError


def small(n: int = 3) -> DataSet:
    return DataSet(
        inputs={"input": np.arange(n * 4, dtype=np.float32).reshape(n, 2, 2)},
        labels=np.arange(n, dtype=np.int64),
        meta={"name": "small"},
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    dataset.save(tmp_path / "x.npz", small())
    loaded = dataset.load(tmp_path / "x.npz")
    np.testing.assert_array_equal(loaded.inputs["input"], small().inputs["input"])
    np.testing.assert_array_equal(loaded.labels, [0, 1, 2])
    assert loaded.meta == {"name": "small"}
    assert len(loaded) == 3


def test_equal_content_gives_an_equal_digest(tmp_path: Path) -> None:
    dataset.save(tmp_path / "a.npz", small())
    dataset.save(tmp_path / "b.npz", small())
    assert digest_of_file(tmp_path / "a.npz") == digest_of_file(tmp_path / "b.npz")


@given(hnp.arrays(st.sampled_from([np.int8, np.uint8, np.float32]), hnp.array_shapes(min_dims=1), elements=st.just(1)))
def test_any_numeric_array_survives(array: np.ndarray) -> None:
    file = io.BytesIO()
    dataset.save(file, DataSet(inputs={"x": array}))  # type: ignore[arg-type]  # zipfile takes files, too
    file.seek(0)
    back = dataset.load(file).inputs["x"]  # type: ignore[arg-type]
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": {}},
        {"inputs": {"x": np.zeros((0, 3))}},
        {"inputs": {"x": np.zeros((2, 3))}, "labels": np.zeros(3, np.int64)},
        {"inputs": {"x": np.zeros((2, 3))}, "labels": np.zeros((2, 1), np.int64)},
        {"inputs": {"x": np.zeros((2, 3))}, "labels": np.array([0.5, 1.0])},
        {"inputs": {"x": np.zeros((2, 3))}, "labels": np.array([0, -1])},
        {"inputs": {"x": np.full((2, 3), np.nan)}},
        {"inputs": {"x": np.array(["a", "b"])}},
        {"inputs": {"x": np.zeros((2, 3))}, "outputs": {"y": np.zeros((1, 3))}},
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(wrong: dict) -> None:
    with pytest.raises(DataSetError):
        DataSet(**wrong)


def test_files_that_are_no_data_set_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    for content in (b"", b"PK\x03\x04", b"\x80\x04pickle"):
        path.write_bytes(content)
        with pytest.raises(DataSetError):
            dataset.load(path)
    with pytest.raises(DataSetError):
        dataset.load(tmp_path / "absent.npz")
    np.savez(path, x=np.zeros(3))  # no description
    with pytest.raises(DataSetError):
        dataset.load(path)


def test_a_pickle_inside_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    dataset.save(path, small())
    with zipfile.ZipFile(path, "a") as archive, archive.open("inputs/evil.npy", "w") as member:
        np.lib.format.write_array(member, np.array([{"a": 1}, {}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(DataSetError, match="not a data set"):
        dataset.load(path)


def test_a_bomb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "MAX_UNCOMPRESSED_BYTES", 10_000)
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inputs/x.npy", b"\0" * 10_000_000)
    assert path.stat().st_size < 20_000
    with pytest.raises(DataSetError, match="unpacked"):
        dataset.load(path)
