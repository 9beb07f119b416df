"""Times of operators: asked for, shown with bars, as JSON, and absent with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from gauntlet.options import job_specs
from gauntlet.render.bars import bar
from gauntlet.render.bench import report
from gauntlet.results_json import job_document
from protos.figures import unavailable
from protos.gauntlet.v1 import job_pb2
from tests.gauntlet import canned
from tests.gauntlet.fake_client import FakeClient


def text(job: job_pb2.Job, width: int) -> str:
    console = Console(width=width, force_terminal=False, color_system=None, record=False)
    with console.capture() as captured:
        console.print(report(job, None, width))
    return captured.get()


def operators_of(shown: str) -> list[str]:
    lines = shown.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("Operators"))
    end = next(place for place in range(start + 1, len(lines)) if not lines[place].startswith(" ") and lines[place])
    return lines[start:end]


@pytest.mark.parametrize("width", [60, 80, 100, 160])
@pytest.mark.parametrize("count", [1, 5, 24, 25, 200])
def test_the_table_fits_its_width_and_misses_nobody(width: int, count: int) -> None:
    shown = operators_of(text(canned.with_profile(count), width))
    assert all(len(line) <= width for line in shown)
    assert sum("%" in line for line in shown) >= min(count, 24)
    assert any("between operators" in line for line in shown)
    if count > 24:
        assert f"{count - 24} more operator" in "\n".join(shown)
        assert "by type" in "\n".join(shown)


def test_bars_are_as_long_as_shares_and_the_sum_is_stated() -> None:
    shown = operators_of(text(canned.with_profile(), 100))
    bars = [line.count("█") for line in shown if line.strip()[:1].isdigit()]
    assert bars == sorted(bars, reverse=True)
    assert bars[0] > 1.9 * bars[1] > 0
    told = " ".join(" ".join(shown).split())
    assert "the operators make up 84.4 % of 862.4 µs" in told
    assert "in whole microseconds" in told
    assert "takes 2.00 times as long as a plain one" in told
    assert "< 1 µs" in told, "what the clock cannot see is not zero"
    assert "[no delegate]" in told
    assert "All but those marked ran on xnnpack" in told


@pytest.mark.parametrize(("share", "drawn"), [(0.0, ""), (1e-6, "▏"), (0.5, "█████"), (1.0, "█" * 10), (-0.1, "")])
def test_a_bar(share: float, drawn: str) -> None:
    assert bar(share, 10) == drawn


def test_json_has_every_operator() -> None:
    document = job_document(canned.with_profile(40))["profile"]
    assert len(document["operators"]) == 40
    assert document["operators"][0]["share"] == pytest.approx(0.45)
    assert document["covered"]["value"] == pytest.approx(sum(o["share"] for o in document["operators"]))


def test_without_a_profile_the_reason_is_told() -> None:
    job = canned.with_profile()
    job.result.profile.Clear()
    job.result.profile.unavailable = "tflite-runtime does not tell the times of operators"
    job.result.profile.whole_s.CopyFrom(unavailable(job.result.profile.unavailable))
    assert "tflite-runtime does not tell" in text(job, 100)
    assert job_document(job)["profile"]["unavailable"].startswith("tflite-runtime")
    assert job_document(canned.succeeded())["profile"]["unavailable"] == "not asked for"


def test_a_profile_is_asked_for(tmp_path: Path) -> None:
    client = FakeClient()
    path = tmp_path / "m.tflite"
    path.write_bytes(b"x")
    (plain,) = job_specs(client, [path], {})  # type: ignore[arg-type]
    (profiled,) = job_specs(client, [path], {"profile": True})  # type: ignore[arg-type]
    assert not plain.measurement.HasField("profile")
    assert profiled.measurement.profile.inferences == 50


@pytest.mark.parametrize(
    ("name", "media_type", "delegate"),
    [("m.tflite", "model/tflite", "xnnpack"), ("m.onnx", "model/onnx", ""), ("m.pt2", "model/pt2", "")],
)
def test_formats_are_alike_and_each_has_its_runtimes_own_delegate(
    tmp_path: Path, name: str, media_type: str, delegate: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"x")
    (spec,) = job_specs(FakeClient(), [path], {})  # type: ignore[arg-type]
    assert (spec.measurement.model.media_type, spec.measurement.runtime.delegate) == (media_type, delegate)
    (asked,) = job_specs(FakeClient(), [path], {"delegate": "none"})  # type: ignore[arg-type]
    assert asked.measurement.runtime.delegate == "none"
