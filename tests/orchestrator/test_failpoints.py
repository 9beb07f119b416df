"""Where a drill lets the orchestrator die."""

from __future__ import annotations

import pytest

from orchestrator import failpoints, main
from orchestrator.config import ConfigError


@pytest.fixture
def death(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Exit codes of the deaths that would have been; what was armed is undone."""
    died: list[int] = []
    monkeypatch.setattr(failpoints.os, "_exit", died.append)
    monkeypatch.setattr(failpoints, "reach", failpoints.reach)
    return died


def test_unarmed_nothing_happens(death: list[int]) -> None:
    failpoints.arm({})
    for point in failpoints.POINTS:
        failpoints.reach(point)
    assert death == []


def test_it_dies_at_the_armed_point_and_at_no_other(death: list[int]) -> None:
    failpoints.arm({failpoints.VARIABLE: "lease.after_commit"})
    for point in failpoints.POINTS:
        failpoints.reach(point)
        assert bool(death) == (failpoints.POINTS.index(point) >= failpoints.POINTS.index("lease.after_commit"))
    assert death == [137]


def test_it_dies_the_nth_time(death: list[int]) -> None:
    failpoints.arm({failpoints.VARIABLE: "result.before_ack:3"})
    failpoints.reach("result.before_ack")
    failpoints.reach("result.before_ack")
    assert death == []
    failpoints.reach("result.before_ack")
    assert death == [137]


@pytest.mark.parametrize("wanted", ["nowhere", "lease", "lease.after_commit:0", "lease.after_commit:x", ":1"])
def test_an_unknown_point_is_refused_with_the_known_ones(wanted: str) -> None:
    with pytest.raises(ConfigError, match="names no failpoint"):
        failpoints.arm({failpoints.VARIABLE: wanted})


def test_an_orchestrator_does_not_start_with_an_unknown_point(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(failpoints.VARIABLE, "nowhere")
    assert main.main(["--dir", str(tmp_path_factory.mktemp("lab"))]) == 2
    assert "error: GAUNTLET_FAILPOINT='nowhere' names no failpoint\n  unset it" in capsys.readouterr().err
