"""What the reports say of the device's state before the windows, and of a device that was not fit."""

from __future__ import annotations

import pytest
from rich.console import Console, RenderableType

from gauntlet.render import bench, compare, preflight
from gauntlet.results_json import job_document
from protos.figures import measured
from protos.gauntlet.v1 import job_pb2, measurement_pb2
from tests.gauntlet import canned, made_comparison

UNFIT = "the device slowed down in each of 3 windows: the processor was throttled for heat (2 events)"


def text(renderable: RenderableType) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def board(**changes: object) -> measurement_pb2.Provenance:
    before = measurement_pb2.HostState(
        governor="performance",
        frequency_hz=measured(2.4e9),
        frequency_limit_hz=measured(3e9),
        rated_frequency_hz=measured(3e9),
        temperature_c=measured(45.2),
        background_cores=measured(0.02),
    )
    return measurement_pb2.Provenance(before=before, cpus=[1], **changes)  # type: ignore[arg-type]


def test_a_device_that_shows_all_is_told_in_one_line() -> None:
    assert preflight.line(board()).plain == (
        "governor performance · 2.40 of 3.00 GHz · 45 °C · not throttled · others 0.02 cores · core 1 · "
        "waited 0.0 s for the host"
    )


def test_what_holds_it_back_stands_out() -> None:
    told = board(host_lock_wait_s=2.34, host_shared=True)
    told.before.throttling.extend(["cooling device cpufreq-cpu0 at 3 of 8", "clock limited to 1.20 of 3.00 GHz"])
    told.before.background_cores.CopyFrom(measured(0.71))
    told.cpus.append(3)
    line = preflight.line(told)
    assert "45 °C · cooling device cpufreq-cpu0 at 3 of 8 · clock limited to 1.20 of 3.00 GHz · others" in line.plain
    assert line.plain.endswith("others 0.71 cores · cores 1, 3 · waited 2.3 s for the host · host shared")
    yellow = {line.plain[span.start : span.end] for span in line.spans if span.style == "yellow"}
    assert yellow == {*told.before.throttling, "others 0.71 cores"}
    assert "not throttled" not in line.plain


def test_a_container_that_shows_nothing_says_so_briefly() -> None:
    assert preflight.line(measurement_pb2.Provenance()).plain == (
        "waited 0.0 s for the host · unavailable: governor, clock, temperature, throttling, load by others"
    )


@pytest.mark.parametrize("job", [canned.succeeded(), made_comparison.compared()])
def test_reports_warn_of_a_device_that_was_not_fit(job: job_pb2.Job) -> None:
    module = compare if job.result.HasField("comparison") else bench
    calm = text(module.report(job))
    assert "preflight  " in calm
    assert "not fit" not in calm
    assert "unfit" not in text(module.summary([job]))
    job.result.provenance.unfit.append(UNFIT)
    warned = text(module.report(job))
    assert "The device was not fit: do not rely on these figures" in warned
    assert UNFIT in warned
    assert f"{job.result.provenance.device_id} unfit" in text(module.summary([job]))


def test_a_job_without_timed_parts_has_no_preflight() -> None:
    job = canned.succeeded()
    for part in ("latency", "energy"):
        job.result.ClearField(part)
    assert "preflight" not in text(bench.report(job))


def test_json_tells_it_too() -> None:
    job = canned.succeeded()
    job.result.provenance.CopyFrom(board(unfit=[UNFIT]))
    job.result.provenance.before.throttling.append("clock limited to 1.20 of 3.00 GHz")
    job.spec.measurement.throttle.CopyFrom(measurement_pb2.ThrottleSpec(repeats=2, cool_max_s=120, drift=0.5))
    document = job_document(job)
    assert document["provenance"]["unfit"] == [UNFIT]
    before = document["provenance"]["before"]
    assert before["throttling"] == ["clock limited to 1.20 of 3.00 GHz"]
    assert before["rated_frequency_hz"]["value"] == 3e9
    assert "unavailable" in document["provenance"]["after"]["frequency_limit_hz"]
    assert document["specification"]["throttle"] == {
        "repeats": 2,
        "cool_to_c": 0.0,
        "cool_max_s": 120.0,
        "drift": 0.5,
    }
