"""Shared by the agent's tests: real models where they are, a private host lock, specifications."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, Tuple

import pytest

from protos.contract import digest_of_file
from protos.gauntlet.v1 import artifact_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

_PROJECT = Path(__file__).resolve().parents[2]
SpecFor = Callable[[Path], Tuple[pb.MeasurementSpec, Dict[str, Path]]]


@pytest.fixture(autouse=True)
def _private_host_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Tests that run beside a real agent neither wait for it nor disturb it.
    monkeypatch.setenv("GAUNTLET_HOST_LOCK", str(tmp_path / "host.lock"))


@pytest.fixture(scope="session")
def models() -> Path:
    """Folder of real .tflite files."""
    data = Path(os.environ.get("GAUNTLET_DATA") or _PROJECT.parent / "shared" / "data")
    folder = data if data.is_absolute() else _PROJECT / data
    if not (folder / "tflite").is_dir():
        pytest.skip(f"no models in {folder / 'tflite'} (set GAUNTLET_DATA)")
    return folder / "tflite"


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one small network in every format, see `networks.py`."""
    given = os.environ.get("GAUNTLET_TEST_NETWORKS")
    if given:
        return Path(given)
    for module in ("torch", "onnx"):
        pytest.importorskip(module, reason="makes the models; set GAUNTLET_TEST_NETWORKS for an environment without it")
    folder = tmp_path_factory.mktemp("networks")
    # A process of its own: torch stays out of this one, whose threads and memory are looked at.
    subprocess.run([sys.executable, "-m", "tests.device_agent.networks", folder], cwd=_PROJECT, check=True)
    return folder


@pytest.fixture
def spec_for() -> SpecFor:
    """Makes a short specification for a model file, and the paths that go with it."""

    def make(path: Path) -> Tuple[pb.MeasurementSpec, Dict[str, Path]]:
        digest = digest_of_file(path)
        spec = pb.MeasurementSpec(
            model=artifact_pb2.ArtifactRef(digest=digest, media_type=f"model/{path.suffix[1:]}", name=path.name),
            runtime=pb.RuntimeSpec(threads=1, delegate="xnnpack" if path.suffix == ".tflite" else ""),
            latency=pb.LatencySpec(
                warmup_min_runs=2,
                warmup_min_s=0.005,
                warmup_max_s=0.1,
                warmup_tolerance=0.2,
                min_samples=20,
                max_samples=200,
                min_s=0.005,
                max_s=0.5,
                half_width=0.1,
                confidence=0.95,
                min_sample_s=1e-4,
                pinning=pb.PINNING_AUTO,
            ),
            timeout_s=60,
        )
        return spec, {digest: path}

    return make
