"""What survives: restarts, garbage, a full disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_agent import doctor
from device_agent.fitness.history import Floor, History, Known
from device_agent.fitness.rules import Baseline
from protos.gauntlet.v1 import agent_pb2, fitness_pb2

NOW = "2026-01-02T03:04:05+00:00"
FLOOR = Floor(0.004, 6, NOW, "key")


def report(check_id: str = "c1", suspects: Any = (), verdict: Any = fitness_pb2.FITNESS_VERDICT_GOOD) -> Any:
    check = fitness_pb2.FitnessCheck(
        check_id=check_id, device_id="pi", checked_at=NOW, verdict=verdict, shift=0.01, suspect_lease_ids=suspects
    )
    return agent_pb2.FitnessReport(check=check)


def full(path: Path) -> History:
    history = History(path, "pi")
    history.concluded("key", Baseline(1.0, NOW, (1.0, 1.01), 1.2), report())
    history.measured_floor(FLOOR)
    history.finished("lease-1")
    history.finished("lease-2")
    return history


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "fitness.json"
    before, after = full(path), History(path, "pi")
    assert after.known.unchecked == before.known.unchecked == ["lease-1", "lease-2"]
    assert after.known.baselines.get("key") == Baseline(1.0, NOW, (1.0, 1.01), 1.2)
    assert after.known.floor == FLOOR
    assert after.known.key == "key"
    assert after.known.last == before.known.last
    assert after.known.reports == before.known.reports == {"c1": report()}


def test_a_conclusion_empties_the_list_and_a_mere_report_does_not(tmp_path: Path) -> None:
    history = full(tmp_path / "fitness.json")
    history.said(report("c2"))
    assert history.known.unchecked == ["lease-1", "lease-2"]
    history.concluded("key", Baseline(1.0, NOW, (1.0,)), report("c3"))
    assert history.known.unchecked == []


def test_reports_stay_until_they_are_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "fitness.json"
    history = full(path)
    history.acknowledged("unknown")
    assert list(history.known.reports) == ["c1"]
    history.acknowledged("c1")
    assert History(path, "pi").known.reports == {}


def test_a_noise_floor_is_told_once_by_the_next_report(tmp_path: Path) -> None:
    history = full(tmp_path / "fitness.json")
    for check_id in ("c2", "c3"):
        history.said(report(check_id))
    told = history.known.reports
    assert [check_id for check_id, r in told.items() if r.HasField("noise_floor")] == ["c2"]
    assert told["c2"].noise_floor.floor.estimate.value == 0.004
    assert told["c2"].noise_floor.device_id == "pi"


def test_old_reports_go_but_never_one_that_makes_results_suspect(tmp_path: Path) -> None:
    history = History(tmp_path / "fitness.json", "pi")
    history.said(report("bad", ["lease-1"], fitness_pb2.FITNESS_VERDICT_SHIFTED))
    for number in range(105):
        history.said(report(f"c{number}"))
    assert list(history.known.reports)[:2] == ["bad", "c5"]
    assert len(history.known.reports) == 101


def test_leases_and_baselines_are_bounded(tmp_path: Path) -> None:
    history = History(tmp_path / "fitness.json", "pi")
    for number in range(10):
        history.concluded(f"key{number}", Baseline(1.0, NOW, (1.0,)), report())
    assert history.known.baselines.get("key1") is None
    assert history.known.baselines.get("key9") is not None
    history.known.unchecked = [f"lease-{number}" for number in range(1_000)]
    history.finished("newest")
    assert len(history.known.unchecked) == 1_000
    assert history.known.unchecked[-1] == "newest"


def test_another_device_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "fitness.json"
    full(path)
    other = History(path, "other")
    assert other.known.reports == {}
    assert other.known.unchecked == []


def spoiled(change: Any) -> Any:
    def spoil(content: Any) -> Any:
        change(content)
        return content

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: [],
        lambda content: None,
        lambda content: {},
        spoiled(lambda c: c["baselines"]["key"].update(first_s=-1)),
        spoiled(lambda c: c["baselines"]["key"].update(first_s="fast")),
        spoiled(lambda c: c["baselines"]["key"].update(recent_s=[])),
        spoiled(lambda c: c["baselines"]["key"].update(shifted_s=float("nan"))),
        spoiled(lambda c: c["baselines"]["key"].update(first_s=10**400)),
        spoiled(lambda c: c["floor"].update(measured_at="yesterday")),
        spoiled(lambda c: c["floor"].update(measured_at="2026-01-02T03:04:05")),
        spoiled(lambda c: c["floor"].update(share=-0.1)),
        spoiled(lambda c: c["floor"].update(colour="red")),
        spoiled(lambda c: c["reports"][0]["check"].update(checkId="../x")),
        spoiled(lambda c: c["reports"][0]["check"].update(deviceId="other")),
        spoiled(lambda c: c["reports"][0]["check"].update(checkedAt="noon")),
        spoiled(lambda c: c["reports"][0]["check"].update(shift="NaN")),
        spoiled(lambda c: c["reports"][0]["check"].pop("verdict")),
        spoiled(lambda c: c["reports"][0].update(colour="red")),
        spoiled(lambda c: c.update(reports={"a": 1})),
        spoiled(lambda c: c.update(unchecked=None)),
    ],
)
def test_a_file_that_makes_no_sense_is_put_aside(spoil: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "fitness.json"
    full(path)
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    history = History(path, "pi")
    assert history.known == Known("pi")
    assert (tmp_path / "fitness.broken").exists()
    assert "a new baseline begins" in caplog.text
    history.finished("lease-3")
    assert History(path, "pi").known.unchecked == ["lease-3"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(content=st.binary(max_size=60))
def test_garbage_never_stops_an_agent(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fitness.json"
    path.write_bytes(content)
    assert History(path, "pi").known.unchecked == []


def test_a_folder_that_cannot_be_written_costs_the_file_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    history = History(tmp_path / "gone" / "fitness.json", "pi")
    history.finished("lease-1")
    assert history.known.unchecked == ["lease-1"]
    assert "is lost if this agent dies" in caplog.text


def test_the_doctor_tells_what_is_known(tmp_path: Path) -> None:
    def told() -> str:
        return next(f"{f.status}: {f.text}" for f in doctor.report(state=tmp_path) if f.topic == "fitness")

    assert told() == "note: never checked: an agent does that when it starts"
    good = report()
    good.check.reason = "as ever"
    history = full(tmp_path / "fitness.json")
    history.said(good)
    assert told() == "ok: 2026-01-02 03:04 UTC: as ever; noise floor 0.4 %"
    history.said(report("bad", [], fitness_pb2.FITNESS_VERDICT_SHIFTED))
    assert told().startswith("note: 2026")
    (tmp_path / "fitness.json").write_text("{")
    assert told().startswith("note: what the agent knows of it cannot be read")
    assert (tmp_path / "fitness.json").read_text() == "{"
