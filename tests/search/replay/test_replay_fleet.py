from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from orchestrator.client import NotFound, Refused
from orchestrator.client.specs import accuracy_spec, fault_plan, job_spec, latency_spec, measurement_spec
from protos.gauntlet.v1 import artifact_pb2, campaign_pb2, device_pb2, failure_pb2, figure_pb2, job_pb2
from search.campaign.measurements import Findings, Target, Task
from search.replay.fleet import RECORDED, ReplayFleet
from search.replay.nb201 import FILE_NAME, read_nb201
from search.replay.schema import About
from search.replay.table import NO_RECORD, Column
from search.values import Origin, Value
from tests.search.replay.tables import CELLS, small_table

FIRST, SECOND, FAILING, LAST = CELLS


async def uploaded(fleet: ReplayFleet, text: str) -> artifact_pb2.ArtifactRef:
    return await fleet.put_bytes(text.encode(), RECORDED, "candidate-0")


def spec(
    model: artifact_pb2.ArtifactRef, device: str = "pi", condition: str = "", key: str | None = None
) -> job_pb2.JobSpec:
    """A job like those of a campaign."""
    if condition:
        asked = measurement_spec(
            model,
            memory=False,
            energy=False,
            accuracy=accuracy_spec(artifact_pb2.ArtifactRef()),
            fault_plan=fault_plan(condition),
        )
    else:
        asked = measurement_spec(model, latency=latency_spec(), accuracy=accuracy_spec(artifact_pb2.ArtifactRef()))
    key = f"{model.digest}{device}{condition}" if key is None else key
    return job_spec(asked, device_id=device, campaign_id="mine", idempotency_key=key)


async def answer(text: str, device: str = "pi", condition: str = "", fleet: ReplayFleet | None = None) -> job_pb2.Job:
    fleet = fleet or ReplayFleet(small_table())
    [job] = await fleet.settled(await fleet.run([spec(await uploaded(fleet, text), device, condition)]))
    return job


async def test_a_job_is_answered_with_what_was_recorded_and_says_that_it_is_replayed() -> None:
    job = await answer(FIRST)
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    result, table = job.result, small_table()
    architecture = table.space.parse(FIRST)
    for figure, name in (
        (result.latency.median_s, "latency_s@pi"),
        (result.energy.energy_j, "energy_j@pi"),
        (result.accuracy.top1, "accuracy"),
        (result.memory.peak_bytes, "peak_memory_bytes@pi"),
    ):
        assert Value.from_figure(figure) == table.figure(architecture, name)
        assert figure.origin == figure_pb2.ORIGIN_REPLAYED
    assert result.memory.peak_bytes.unavailable == NO_RECORD
    assert result.provenance.device_id == "pi"
    assert result.provenance.worker_s == 2.0
    assert list(result.provenance.remarks) == ["replayed from the table 'four cells': nothing was measured now"]


async def test_only_what_was_asked_for_is_told() -> None:
    job = await answer(FIRST, condition="iBF(p=1e-3)")
    assert Value.from_figure(job.result.faults.accuracy) == Value(
        0.6, 0.5, 0.7, 0.95, "order statistics", 30, Origin.REPLAYED
    )
    assert not job.result.HasField("latency")
    assert not job.result.HasField("accuracy")


async def test_an_architecture_fails_where_it_failed_and_nowhere_else() -> None:
    job = await answer(FAILING, "tpu")
    assert job.state == job_pb2.JOB_STATE_FAILED
    assert not job.HasField("result")
    assert job.failure.kind == failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION
    assert job.failure.message == "AVERAGE_POOL_2D"
    assert (await answer(FAILING, "pi")).state == job_pb2.JOB_STATE_SUCCEEDED


async def test_what_nobody_recorded_is_a_missing_figure_and_no_failure() -> None:
    job = await answer(LAST, "tpu")
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert job.result.latency.median_s.unavailable == NO_RECORD
    assert Value.from_figure(job.result.accuracy.top1).value == 0.7


async def test_the_job_that_found_figures_is_not_the_one_that_failed() -> None:
    crashed = small_table(
        columns={
            "latency_s@pi": Column(np.full(4, 0.01)),
            "accuracy@pi@iBF(p=0.1, per=bit)": Column(np.array([0.5, 0.5, 0.5, np.nan])),
        },
        failures={"pi": {3: "crashed: signal 11"}},
    )
    assert (await answer(LAST, "pi", fleet=ReplayFleet(crashed))).state == job_pb2.JOB_STATE_SUCCEEDED
    failed = await answer(LAST, "pi", "iBF(p=0.1)", ReplayFleet(crashed))
    assert failed.failure.kind == failure_pb2.FAILURE_KIND_CRASHED


async def test_an_architecture_that_could_not_even_be_made_fails_everywhere() -> None:
    table = small_table(failures={"": {0: "not exportable: GRU"}}, columns={"accuracy": Column(np.array([np.nan] * 4))})
    job = await answer(FIRST, "", fleet=ReplayFleet(table))
    assert (job.failure.kind, job.failure.message) == (failure_pb2.FAILURE_KIND_INVALID_MODEL, "not exportable: GRU")


async def test_seconds_of_devices_are_accounted_once_for_all_jobs_of_a_candidate() -> None:
    fleet = ReplayFleet(small_table())
    first, second = await uploaded(fleet, FIRST), await uploaded(fleet, SECOND)
    jobs = await fleet.run([spec(first), spec(first, "tpu"), spec(second), spec(first, condition="iBF(p=0.001)")])
    assert [job.result.provenance.worker_s for job in jobs] == [2.0, 0.0, 3.0, 0.0]


async def test_a_job_submitted_again_is_the_same_job_also_in_another_process() -> None:
    fleet = ReplayFleet(small_table())
    model = await uploaded(fleet, FIRST)
    [first], [second] = await fleet.run([spec(model)]), await fleet.run([spec(model)])
    assert first == second
    assert [job.created for job in await fleet.submit([spec(model)])] == [False]
    other = ReplayFleet(small_table())
    [third] = await other.run([spec(await uploaded(other, FIRST))])
    assert (third.job_id, third.result.latency) == (first.job_id, first.result.latency)


async def test_all_or_none_is_carried_out() -> None:
    fleet = ReplayFleet(small_table())
    model = await uploaded(fleet, FIRST)
    with pytest.raises(Refused, match="the table has no device 'pie'"):
        await fleet.submit([spec(model), spec(model, "pie")])
    assert await fleet.jobs() == []


async def test_what_cannot_be_meant_is_refused() -> None:
    fleet = ReplayFleet(small_table())
    model = await uploaded(fleet, FIRST)
    await fleet.run([spec(model, key="k")])
    with pytest.raises(Refused, match="the key 'k' is that of another job"):
        await fleet.submit([spec(model, "tpu", key="k")])
    with pytest.raises(Refused, match="candidate-0 names no architecture of the table's space"):
        await uploaded(fleet, "not-a-cell")
    with pytest.raises(Refused, match="candidate-0 names no architecture of the table's space"):
        await fleet.put_bytes(b"\xff", RECORDED, "candidate-0")
    tflite = await fleet.put_bytes(b"TFL3", "model/tflite", "a.tflite")
    with pytest.raises(Refused, match=r"a\.tflite is of the type model/tflite: nothing is measured here"):
        await fleet.submit([spec(tflite)])
    with pytest.raises(NotFound, match="candidate-0 was not uploaded"):
        await ReplayFleet(small_table()).submit([spec(model)])
    with pytest.raises(NotFound, match="there is no job 'x'"):
        await fleet.job("x")
    with pytest.raises(Refused, match="the table has 2 devices, not 3"):
        await fleet.wait_ready(1.0, devices=3)


async def test_devices_say_that_they_are_replayed() -> None:
    pi, tpu = await ReplayFleet(small_table()).devices()
    assert (pi.description.device_id, pi.description.device_class) == ("pi", "replayed-pi")
    assert (pi.description.hardware.board, tpu.description.hardware.board) == ("a board", "tpu")
    assert dict(pi.description.labels) == {"origin": "replayed", "table": "four cells"}
    assert [sensor.quantity for sensor in pi.description.sensors] == ["energy_j", "latency_s"]
    assert pi.state == device_pb2.DEVICE_STATE_ONLINE
    await ReplayFleet(small_table()).wait_ready(0.0, devices=2)


async def test_a_device_keeps_the_hardware_that_was_recorded() -> None:
    described = {
        "pi": {"device_class": "pi4", "hardware": {"cpu_model": "Cortex-A72", "newer": 1}},
        "tpu": {"hardware": 3},
    }
    pi, tpu = await ReplayFleet(small_table(about=About("four cells", described))).devices()
    assert pi.description.hardware.cpu_model == "Cortex-A72"
    assert tpu.description.hardware.board == "tpu"


async def test_a_table_without_devices_answers_by_one_that_stands_for_none() -> None:
    table = small_table(columns={"accuracy": Column(np.array([0.1, 0.2, 0.3, 0.4]))}, failures={})
    fleet = ReplayFleet(table)
    [device] = await fleet.devices()
    job = await answer(SECOND, device.description.device_id, fleet=fleet)
    assert Value.from_figure(job.result.accuracy.top1).value == 0.2


async def test_jobs_are_listed_newest_first() -> None:
    fleet = ReplayFleet(small_table())
    first, failing = await uploaded(fleet, FIRST), await uploaded(fleet, FAILING)
    await fleet.run([spec(first), spec(failing, "tpu"), spec(failing, "pi")])
    assert [row.device_id for row in await fleet.jobs()] == ["pi", "tpu", "pi"]
    [failed] = await fleet.jobs([job_pb2.JOB_STATE_FAILED], "mine")
    assert (failed.failure_message, failed.model_name) == ("AVERAGE_POOL_2D", "candidate-0")
    assert await fleet.job(failed.job_id) == (await fleet.run([spec(failing, "tpu")]))[0]
    assert len(await fleet.jobs(limit=1)) == 1
    assert await fleet.jobs(campaign_id="other") == []


async def test_what_a_campaign_publishes_is_kept(tmp_path: Path) -> None:
    async with ReplayFleet(small_table()) as fleet:
        await fleet.publish_campaign(campaign_pb2.Campaign(campaign_id="mine", title="first"))
        await fleet.publish_campaign(campaign_pb2.Campaign(campaign_id="mine", title="second"))
        assert [campaign.title for campaign in await fleet.campaigns()] == ["second"]
        record = campaign_pb2.CampaignRecord(key="1", evaluation=campaign_pb2.EvaluationRecord())
        await fleet.publish_records("mine", [record, record])
        assert await fleet.records("mine") == [record]
        (tmp_path / "images.npz").write_bytes(b"1234")
        assert (await fleet.put_file(tmp_path / "images.npz", "dataset/npz")).size_bytes == 4


async def test_a_campaign_takes_the_answers_in() -> None:
    fleet = ReplayFleet(small_table())
    findings = Findings({}, [], {}, {})
    targets = [Target("pi", device_id="pi"), Target("tpu", device_class="replayed-tpu")]
    wanted = [
        Task(target, condition, spec(await uploaded(fleet, FAILING), target.device_id, condition))
        for target, condition in ((targets[0], ""), (targets[1], ""), (targets[0], "iBF(p=0.001, per=bit)"))
    ]
    wanted[1].spec.device.device_class = "replayed-tpu"
    for task, job in zip(wanted, await fleet.run([task.spec for task in wanted]), strict=True):
        findings.add(task, job, targets[0])
    assert findings.figures["latency_s@pi"] == Value(0.010, samples=300, origin=Origin.REPLAYED)
    assert findings.figures["accuracy@iBF(p=0.001, per=bit)"].value == 0.4
    assert findings.figures["latency_s@tpu"].unavailable == "unsupported operation: AVERAGE_POOL_2D"
    assert findings.failure is not None
    assert findings.failure.kind == "unsupported operation"


async def test_cells_of_nas_bench_201_are_answered_and_those_that_do_not_compile_fail() -> None:
    folder = os.environ.get("GAUNTLET_DATA")
    if not folder or not (Path(folder) / FILE_NAME).is_file():
        pytest.skip("GAUNTLET_DATA names no folder with NAS-Bench-201's classes")
    table = read_nb201(Path(folder))
    fleet = ReplayFleet(table)
    for text in table.rows[:100]:
        model = await uploaded(fleet, text)
        pi, tpu = await fleet.run([spec(model, "raspi4"), spec(model, "edgetpu")])
        assert pi.state == job_pb2.JOB_STATE_SUCCEEDED
        failed = table.failure(table.space.parse(text), "edgetpu") is not None
        assert tpu.state == (job_pb2.JOB_STATE_FAILED if failed else job_pb2.JOB_STATE_SUCCEEDED)
    assert {job.state for job in await fleet.jobs(limit=1000)} == {
        job_pb2.JOB_STATE_SUCCEEDED,
        job_pb2.JOB_STATE_FAILED,
    }
