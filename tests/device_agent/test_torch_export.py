"""What is special about torch's exported programs."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Tuple

import pytest

from device_agent.errors import MeasurementError
from device_agent.runtimes import torch_export
from protos.gauntlet.v1 import failure_pb2

pytest.importorskip("torch")


@pytest.fixture
def runtime() -> torch_export.TorchExport:
    found = torch_export.find(allow_pt2=True)
    assert isinstance(found, torch_export.TorchExport)
    found.preload()
    return found


def rewritten(source: Path, target: Path, ending: str, content: bytes) -> Path:
    """A copy of an archive with another content in the entry that ends so."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            new.writestr(entry, content if entry.filename.endswith(ending) else old.read(entry))
    return target


class Marker:
    """Leaves a trace when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def test_loading_one_can_run_code_which_is_why_it_needs_trust(
    runtime: torch_export.TorchExport, networks: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "code ran"
    path = rewritten(
        networks / "network.pt2", tmp_path / "evil.pt2", "sample_inputs/model.pt", pickle.dumps(Marker(trace))
    )
    with pytest.raises(MeasurementError):
        runtime.load(path, 1, "")
    if not trace.exists():
        pytest.fail("torch no longer unpickles sample inputs: look whether .pt2 files can be taken without trust")


def test_without_trust_it_is_not_there() -> None:
    assert torch_export.find(allow_pt2=False) is None


def test_an_operator_that_this_torch_lacks(runtime: torch_export.TorchExport, networks: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(networks / "network.pt2") as archive:
        name = next(name for name in archive.namelist() if name.endswith("models/model.json"))
        program = archive.read(name).decode()
    assert "torch.ops.aten.relu.default" in program
    changed = program.replace("torch.ops.aten.relu.default", "torch.ops.aten.abacus.default")
    path = rewritten(networks / "network.pt2", tmp_path / "x.pt2", "models/model.json", changed.encode())
    with pytest.raises(MeasurementError) as caught:
        runtime.load(path, 1, "")
    assert caught.value.kind == failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION, caught.value.message


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2", json.dumps({"graph_module": 3}).encode()])
def test_a_program_that_makes_no_sense_is_invalid(
    runtime: torch_export.TorchExport, networks: Path, tmp_path: Path, content: bytes
) -> None:
    path = rewritten(networks / "network.pt2", tmp_path / "x.pt2", "models/model.json", content)
    with pytest.raises(MeasurementError) as caught:
        runtime.load(path, 1, "")
    assert caught.value.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL


def test_an_archive_of_something_else_is_refused_unread(runtime: torch_export.TorchExport, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt2", "w") as archive:
        archive.writestr("weights.bin", b"123")
    with pytest.raises(MeasurementError, match=r"no models/\*\.json"):
        runtime.check(tmp_path / "x.pt2")


@pytest.mark.parametrize(
    ("place", "least", "shape"),
    [(1, 4, (2, 4)), (1, 2, (2, 1)), (0, 4, (4, 8)), (0, 1, (1, 8))],
    ids=["length of 4 and more", "any length", "batch of 4 and more", "any batch"],
)
def test_open_dimensions_are_as_small_as_the_program_was_exported_for(
    runtime: torch_export.TorchExport, place: int, least: int, shape: Tuple[int, ...]
) -> None:
    import torch

    sizes = {place: torch.export.Dim("n", min=least, max=64)}
    program = torch.export.export(torch.nn.ReLU().eval(), (torch.zeros(2 if place else 5, 8),), dynamic_shapes=(sizes,))
    file = io.BytesIO()
    torch.export.save(program, file)
    model = runtime.load(file.getvalue(), 1, "")
    assert model.inputs[0].shape == shape
    assert any(f"measured as {list(shape)}" in remark for remark in model.remarks) == (place == 1 or least > 1)
    model.invoke()
    assert model.output(0).shape == shape
    if place == 0 and least > 1:
        assert not model.resize_batch(1)
        assert model.inputs[0].shape == shape, "as before"
        assert model.resize_batch(7)


def test_a_gpu_that_is_not_there_is_refused(runtime: torch_export.TorchExport, networks: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(MeasurementError, match="torch finds no GPU") as caught:
        torch_export.TorchExport(runtime.version, ("cpu", "cuda")).load(networks / "network.pt2", 1, "cuda")
    assert caught.value.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert caught.value.remedy


def test_a_build_for_cuda_is_told_without_importing_torch(tmp_path: Path) -> None:
    for text, cuda in (("cuda: Optional[str] = None\n", False), ("cuda: Optional[str] = '12.4'\n", True)):
        (tmp_path / "version.py").write_text(text)
        assert torch_export._is_cuda_build(tmp_path) is cuda
    assert not torch_export._is_cuda_build(tmp_path / "missing")
