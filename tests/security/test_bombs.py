"""Files that unfold to far more than they are: whoever unpacks one does so within bounds."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gauntlet.api import BenchResult, Lab
from gauntlet.errors import LabError
from gauntlet.faults.plans import outcomes_of
from protos import dataset, figures
from protos.gauntlet.v1 import job_pb2, measurement_pb2

BOMB = zlib.compress(bytes(100_000_000), 9)


@contextmanager
def at_most(most_bytes: int) -> Iterator[None]:
    """Python takes no more memory than that on the way."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most_bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [BOMB, b"", b"noise", zlib.compress(b"123")], ids=["bomb", "empty", "noise", "odd"])
def test_raw_samples_are_no_more_than_were_asked_for(content: bytes) -> None:
    job = job_pb2.Job()
    job.spec.measurement.latency.max_samples = 1000
    lab = SimpleNamespace(client=SimpleNamespace(get_artifact=lambda digest: content))
    with at_most(5_000_000), pytest.raises(LabError, match="a device sent raw samples"):
        Lab.raw_samples_s(lab, BenchResult(job))  # type: ignore[arg-type]


def test_counts_of_patterns_are_no_more_than_the_samples() -> None:
    result = measurement_pb2.FaultResult(samples=1000, clean_accuracy=figures.measured(0.9))
    with at_most(5_000_000), pytest.raises(LabError, match="more than 4000 bytes"):
        outcomes_of(result, BOMB)


def lying_header(shape: str) -> bytes:
    """An array of numpy whose header promises more than follows."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    header = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(64)


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def array(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


META = b'{"format": 1}'


@pytest.mark.parametrize(
    "make",
    [
        lambda path: archive(path, {"meta.json": META, "inputs/x.npy": lying_header(f"({1 << 40},)")}),
        lambda path: archive(path, {"meta.json": META, "inputs/x.npy": lying_header(f"({1 << 62}, {1 << 62})")}),
        lambda path: archive(path, {"meta.json": META, "inputs/x.npy": lying_header("(-1,)")}),
        lambda path: archive(path, {"meta.json": b"[" * 100_000, "inputs/x.npy": array(np.zeros(3))}),
        lambda path: archive(path, {"meta.json": b" " * 50_000_000 + META, "inputs/x.npy": array(np.zeros(3))}),
        lambda path: archive(path, {"meta.json": META, "inputs/x.npy": b"\x93NUMPY\x01\x00\x04\x00{((\n"}),
    ],
    ids=["a terabyte", "beyond 64 bits", "less than nothing", "deep", "a long description", "no header"],
)
def test_a_data_set_that_promises_the_impossible_is_refused(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path / "data.npz")
    with at_most(20_000_000), pytest.raises(dataset.DataSetError):
        dataset.load(path)


def test_a_data_set_that_unpacks_to_more_than_its_directory_says_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "data.npz", {"meta.json": META, "inputs/x.npy": array(np.zeros(10_000_000, np.float32))})
    content = bytearray(path.read_bytes())
    # The size unpacked, in the central directory and in front of the member: 40 MB and a header, told as 200 bytes.
    size = (10_000_000 * 4 + 128).to_bytes(4, "little")
    assert content.count(size) == 2
    path.write_bytes(content.replace(size, (200).to_bytes(4, "little")))
    with at_most(60_000_000), pytest.raises(dataset.DataSetError):
        dataset.load(path)
