"""Reports and tables on canned messages: what they say, not where each space stands."""

from __future__ import annotations

import io
import json
from datetime import UTC

import pytest
from rich.console import Console, RenderableType

from gauntlet import results_json
from gauntlet.render import bench, device, histogram, jobs, missing, units
from protos.figures import measured, unavailable
from protos.gauntlet.v1 import figure_pb2, job_pb2, measurement_pb2
from tests.gauntlet import canned


def text(renderable: RenderableType, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(renderable)
    return out.getvalue()


def squeezed(renderable: RenderableType, width: int = 100) -> str:
    return "\n".join(" ".join(line.split()) for line in text(renderable, width).splitlines())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_report_fits_its_width(width: int) -> None:
    report = bench.report(canned.with_data(), canned.device(), width)
    assert max(map(len, text(report, width).splitlines())) <= width


def test_a_report_says_what_ran_where_and_how() -> None:
    report = squeezed(bench.report(canned.succeeded(), canned.device()))
    assert "model 317.4 KiB, sha256 abababab" in report
    assert "input int8 1×96×96×3 input_1 scale 0.003922, zero point -128" in report
    assert "runtime litert 2.3.0, xnnpack, 1 thread, held to core 1" in report
    assert "device bench-1 (class x86_64-avx512)" in report
    assert "Intel(R) Xeon(R) Platinum 8481C; 1 core, 2 threads, 24.00 GiB" in report


def test_a_report_gives_latency_with_its_interval_and_how_it_was_taken() -> None:
    report = squeezed(bench.report(canned.succeeded()))
    assert "load 2.310 ms" in report
    assert "first inference 1.210 ms" in report
    assert "median 431.2 µs 430.1 – 432.7 µs at 95 % (±0.3 %)" in report
    assert "MAD 3.100 µs 0.72 % of the median" in report
    assert "p99 – insufficient: 500 samples, 662 needed" in report
    assert "2,311 samples; warm-up: 1,184 runs in 512.0 ms, settled." in report
    assert "Stopped because the median is known as precisely as asked." in report


def test_a_warm_up_that_did_not_settle_and_batched_samples_are_said() -> None:
    job = canned.succeeded()
    job.result.latency.warmup_settled = False
    job.result.latency.calls_per_sample = 40
    report = squeezed(bench.report(job))
    assert "not settled" in report
    assert "2,311 samples of 40 calls each" in report


def test_a_report_with_data_shows_accuracy_check_and_energy() -> None:
    report = squeezed(bench.report(canned.with_data()), 120)
    assert "accuracy (top-1) 91.20 % 89.30 % – 92.80 % at 95 %; 1,000 samples, 2 with NaN or infinity" in report
    assert "output differs 0.002100 largest" in report
    assert "energy 2.100 mJ one inference, VDD_IN" in report


def test_a_report_with_faults_shows_the_mean_over_patterns_and_the_worst() -> None:
    report = squeezed(bench.report(canned.with_faults()), 120)
    assert (
        "under faults 80.00 % 70.40 % – 89.60 % at 95 %; iBF(p=0.001, per=bit), mean of 3 patterns, the most" in report
    )
    assert "worst pattern 76.00 % 620.0 faults a pattern on average" in report
    assert "under faults" not in squeezed(bench.report(canned.with_data()), 120)


def test_faults_as_json_carry_plan_patterns_and_reasons() -> None:
    asked = results_json.job_document(canned.with_faults())
    assert asked["specification"]["fault_plan"]["fault_model"] == "iBF(p=0.001, per=bit)"
    assert asked["specification"]["fault_plan"]["site"] == "weights"
    assert asked["faults"]["accuracy"]["value"] == 0.8
    assert asked["faults"]["pattern_accuracies"] == [0.84, 0.76, 0.8]
    assert asked["faults"]["stop_reason"] == "cap"
    json.dumps(asked, allow_nan=False)
    without = results_json.job_document(canned.with_data())
    assert without["specification"]["fault_plan"] is None
    assert without["faults"]["accuracy"]["unavailable"] == "not asked for"


def test_what_is_not_measured_stands_at_the_end_with_its_reason() -> None:
    report = squeezed(bench.report(canned.succeeded(), canned.device()))
    _, _, end = report.partition("Not measured")
    assert "accuracy not asked for: give labelled inputs with --data" in end
    assert f"energy {canned.NO_RAPL}" in end
    assert "temperature no thermal zones in this container" in end
    assert "governor no cpufreq in this container" in end
    assert "clock" not in end


def test_a_job_of_scenarios_alone_says_how_to_have_the_latency() -> None:
    job = canned.succeeded()
    job.result.ClearField("latency")
    job.spec.measurement.ClearField("latency")
    assert ("latency", "not asked for: give --scenario single-stream") in missing.reasons(job)


def test_figures_that_share_a_reason_share_a_line() -> None:
    job = canned.succeeded()
    state = job.result.provenance.before
    state.frequency_hz.CopyFrom(state.temperature_c)
    assert ("temperature, clock", "no thermal zones in this container") in missing.reasons(job)


def test_the_devices_remedy_completes_a_bare_reason() -> None:
    job = canned.succeeded()
    job.result.energy.energy_j.CopyFrom(unavailable("no RAPL in this container"))
    assert ("energy", canned.NO_RAPL) in missing.reasons(job, canned.device())


def test_a_prediction_is_not_passed_off_as_a_measurement() -> None:
    job = canned.succeeded()
    job.result.latency.mean_s.origin = figure_pb2.ORIGIN_PREDICTED
    assert "mean 440.9 µs predicted" in squeezed(bench.report(job))


def test_a_name_with_markup_is_shown_as_it_is() -> None:
    job = canned.succeeded()
    job.spec.measurement.model.name = "[bold]x[/bold].tflite"
    assert "[bold]x[/bold].tflite" in text(bench.report(job))


class TestHistogram:
    def picture(self, counts: list[int], median_s: float | None = None, width: int = 80, overflow: int = 0) -> str:
        message = measurement_pb2.Histogram(low=1e-3, high=2e-3, counts=counts, overflow=overflow)
        return str(histogram.render(message, median_s, width))

    def test_higher_counts_have_higher_columns(self) -> None:
        top, *_, bottom = self.picture([1, 2, 4, 2]).splitlines()[:6]
        assert top.split() == ["███"]
        assert bottom.strip() == "█" * 12

    def test_a_single_sample_is_seen_and_an_empty_bin_is_not(self) -> None:
        bottom = self.picture([40, 0, 1, 35, 36, 37]).splitlines()[5]
        assert bottom.strip() == "███   ▁▁▁█████████"

    def test_a_few_high_bins_turn_the_scale_logarithmic(self) -> None:
        assert "logarithmic" in self.picture([10_000, 3, 2, 1, 1])
        assert "logarithmic" not in self.picture([100, 80, 60, 40])

    def test_the_median_stands_below_its_column(self) -> None:
        axis, labels = self.picture([1, 2, 3, 2, 1] * 4, median_s=1.5e-3).splitlines()[6:8]
        column = axis.index("┴")
        assert column == 2 + 30
        start = labels.index("median 1.500 ms")
        assert start <= column <= start + len("median 1.500 ms")
        assert labels.split()[0] == "1.000"
        assert labels.rstrip().endswith("2.000 ms")

    def test_samples_beyond_the_picture_are_counted(self) -> None:
        assert "12 samples above 2.000 ms not shown" in self.picture([1, 2], overflow=12)

    @pytest.mark.parametrize("counts", [[], [0, 0]])
    def test_no_samples(self, counts: list[int]) -> None:
        assert self.picture(counts) == "  no samples"

    def test_all_samples_equal(self) -> None:
        message = measurement_pb2.Histogram(low=1e-3, high=1e-3, counts=[30])
        assert "█" in str(histogram.render(message, 1e-3, 80))

    @pytest.mark.parametrize("width", [20, 40, 80, 200])
    def test_more_bins_than_columns_are_merged_and_none_is_lost(self, width: int) -> None:
        picture = self.picture([1] * 97, width=width)
        assert max(len(line) for line in picture.splitlines()[:7]) <= width
        assert "█" in picture


@pytest.mark.parametrize(
    ("text_of", "value", "expected"),
    [
        (units.duration, 0.000431234, "431.2 µs"),
        (units.duration, 9.787e-7, "978.7 ns"),
        (units.duration, 0.0, "0 s"),
        (units.duration, 0.9999999, "1.000 s"),
        (units.duration, 81.0, "81.00 s"),
        (units.duration, 4000.0, "4,000 s"),
        (units.duration, 3e-12, "0.003000 ns"),
        (units.size, 12, "12 B"),
        (units.size, 2_500_000, "2.384 MiB"),
        (units.size, 24 * 1024**3, "24.00 GiB"),
        (units.energy, 0.0021, "2.100 mJ"),
        (units.frequency, 2.1e9, "2.100 GHz"),
        (units.ratio, 1.0, "100.0 %"),
        (units.ratio, 0.912, "91.20 %"),
        (units.ratio_short, 0.0034, "0.34 %"),
        (units.ratio_short, 0.9949, "99 %"),
        (units.ratio_short, 0.996, "100 %"),
        (units.ratio_short, 13.4, "1,340 %"),
    ],
)
def test_numbers_for_people(text_of: object, value: float, expected: str) -> None:
    assert callable(text_of)
    assert text_of(value) == expected


def test_times_for_people() -> None:
    from datetime import datetime

    now = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
    assert units.age("2026-11-20T11:59:48.5Z", now) == "11 s"
    assert units.age("2026-11-20T09:00:00+00:00", now) == "3 h"
    assert units.age("2026-11-01T09:00:00Z", now) == "19 d"
    assert units.age("2026-11-20T12:00:09Z", now) == "0 s"
    assert units.age("") == "–"
    assert units.clock("2026-11-20T11:59:48.512Z") == "2026-11-20 11:59:48"


def test_a_device_in_full_names_what_it_lacks() -> None:
    report = squeezed(device.device_report(canned.device()))
    assert "processor Intel(R) Xeon(R) Platinum 8481C (x86_64)" in report
    assert f"energy_j unavailable: {canned.NO_RAPL}" in report
    assert "load_average 0.31 /proc/loadavg" in report
    assert "litert 2.3.0 tflite, delegate xnnpack" in report
    assert "labels site=berlin" in report


def test_job_tables_keep_one_line_for_each_job() -> None:
    failure = canned.crash()
    failure.message = "word " * 200
    table = text(jobs.jobs_table([canned.summary(canned.failed(failure)), canned.summary(canned.queued())]), 80)
    rows = table.splitlines()[2:]
    assert len(rows) == 2
    assert "3f2a91c0" in rows[0]
    assert "failed" in rows[0]
    assert "queued" in rows[1]


@pytest.mark.parametrize(
    "job",
    [canned.queued(), canned.running(), canned.succeeded(), canned.failed(canned.crash())],
    ids=lambda job: job.state,
)
def test_every_state_of_a_job_has_a_report_logs_and_a_document(job: job_pb2.Job) -> None:
    assert job.job_id in text(jobs.job_report(job))
    assert text(jobs.logs(job))
    assert json.dumps(results_json.job_document(job), allow_nan=False)


def test_a_job_that_never_started_says_so() -> None:
    job = canned.queued()
    job.state = job_pb2.JOB_STATE_FAILED
    job.failure.CopyFrom(canned.invalid_model())
    assert "never started" in text(jobs.failure_lines(job))
    assert "was never started" in text(jobs.logs(job))


class TestJson:
    def test_a_figure_has_value_interval_samples_and_origin(self) -> None:
        document = results_json.job_document(canned.succeeded())
        assert document["latency"]["median_s"] == {
            "value": 431.2e-6,
            "samples": 2311,
            "interval": {"low": 430.1e-6, "high": 432.7e-6, "confidence": 0.95, "method": "order statistics"},
            "origin": "measured",
        }
        assert document["latency"]["percentiles"][2]["latency_s"]["unavailable"].startswith("insufficient")

    def test_what_was_not_asked_for_says_so(self) -> None:
        document = results_json.job_document(canned.succeeded())
        assert document["accuracy"]["top1"]["unavailable"] == "not asked for"

    def test_what_failed_says_so_in_every_figure(self) -> None:
        document = results_json.job_document(canned.failed(canned.crash()))
        assert document["latency"]["median_s"]["unavailable"] == "the job ended with: crashed"
        assert document["failure"]["signal"] == 11

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_json_has_no_word_for_nan(self, value: float) -> None:
        document = results_json.figure_document(measured(value))
        assert document["unavailable"] == f"the device reported {value}"

    def test_a_figure_that_was_never_set_is_missing(self) -> None:
        assert results_json.figure_document(figure_pb2.Figure())["unavailable"] == "not reported"

    def test_values_of_a_newer_peer_do_not_break_it(self) -> None:
        job = canned.succeeded()
        job.state = 99  # type: ignore[assignment]
        job.result.latency.stop_reason = 42  # type: ignore[assignment]
        document = results_json.job_document(job)
        assert (document["state"], document["latency"]["stop_reason"]) == ("99", "42")
