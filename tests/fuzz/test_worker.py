"""Damaged models in native code: a result or a typed failure of the model's, and the next model is measured."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from device_agent.runtimes import discover
from device_agent.workers import PoolSettings, WorkerPool
from protos.blame import Blame, blame, kind_name
from protos.contract import digest_of_file
from protos.gauntlet.v1 import artifact_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.fuzz.effort import EXAMPLES
from tests.fuzz.files import damaged

pytestmark = pytest.mark.skipif(not discover(), reason="no model runtime is installed")


@pytest.fixture
async def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WorkerPool]:
    monkeypatch.setenv("GAUNTLET_HOST_LOCK", str(tmp_path / "host.lock"))
    pool = WorkerPool(PoolSettings(tmp_path / "workers", spare=False))
    await pool.start()
    yield pool
    await pool.close()


def spec(path: Path) -> tuple[pb.MeasurementSpec, dict[str, Path]]:
    """A few inferences."""
    digest = digest_of_file(path)
    return pb.MeasurementSpec(
        model=artifact_pb2.ArtifactRef(digest=digest, media_type="model/tflite", name=path.name),
        runtime=pb.RuntimeSpec(threads=1, delegate="xnnpack"),
        latency=pb.LatencySpec(
            warmup_min_runs=1, min_samples=3, max_samples=5, max_s=0.05, half_width=0.5, confidence=0.95
        ),
        timeout_s=10,
    ), {digest: path}


# Shrinking would crash worker after worker.
@settings(max_examples=EXAMPLES or 15, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_a_damaged_model_costs_its_own_job_alone(
    pool: WorkerPool, models: Path, tmp_path: Path, data: st.DataObject
) -> None:
    good = models / "tflm_hello_world_int8.tflite"
    path = tmp_path / "damaged.tflite"
    path.write_bytes(data.draw(damaged(good.read_bytes())))
    outcome = await pool.measure(*spec(path))
    if outcome.failure is not None:
        assert blame(outcome.failure) is Blame.MODEL, f"{kind_name(outcome.failure.kind)}: {outcome.failure}"
        assert outcome.failure.message
    else:
        assert outcome.result is not None
        outcome.discard()
    assert (await pool.measure(*spec(good))).failure is None
