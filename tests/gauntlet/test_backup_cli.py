"""`gauntlet lab backup` and `gauntlet lab restore`, as people meet them."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from gauntlet.cli.app import run
from gauntlet.render import progress
from orchestrator.backup.contents import artifact_path, backups
from tests.orchestrator.backup.labs import MODEL_DIGEST, busy_lab, rows


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("GAUNTLET_LAB_CONFIG", raising=False)
    return asyncio.run(busy_lab(tmp_path))


def test_a_lab_goes_into_a_backup_and_comes_back(tmp_path: Path, lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target, settings = tmp_path / "backups", tmp_path / "lab.yaml"
    settings.write_text("log_format: json\n")
    words = ["lab", "backup", str(target), "--dir", str(lab), "--config", str(settings), "--keep", "1"]
    for _ in range(2):
        assert run(words) == 0
    said = capsys.readouterr().out
    [made] = backups(target)
    assert f"backup: {made}\n4 jobs, 1 device, 1 artifact (7 B, 7 B of it shared)\nremoved: 1 older backup\n" in said
    assert run(["lab", "restore", str(target), "--dir", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    assert f"restored {made.name} (of {lab} on " in said
    assert f"start it: gauntlet lab up --dir {tmp_path}/new --config {tmp_path}/new/settings.yaml\n" in said
    assert (tmp_path / "new" / "settings.yaml").read_text() == "log_format: json\n"
    assert rows(tmp_path / "new") == rows(lab)


def test_programs_get_a_document(tmp_path: Path, lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "backup", str(tmp_path / "b"), "--dir", str(lab), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["backup"]
    assert (made["jobs"], list(made["artifacts"]), made["removed"]) == (4, [MODEL_DIGEST], [])
    assert run(["lab", "restore", made["path"], "--dir", str(tmp_path / "new"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["restored"]["path"] == str(tmp_path / "new")


def test_at_a_terminal_a_bar_shows_how_far_it_is(tmp_path: Path, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(progress, "stderr", lambda: terminal)
    assert run(["lab", "backup", str(tmp_path / "b"), "--dir", str(lab)]) == 0
    assert run(["lab", "restore", str(tmp_path / "b"), "--dir", str(tmp_path / "new")]) == 0
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "backup" in shown
    assert "restore" in shown
    assert "MiB" in shown


def test_what_is_not_in_it_is_said(tmp_path: Path, lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifact_path(lab, MODEL_DIGEST).unlink()
    assert run(["lab", "backup", str(tmp_path / "b"), "--dir", str(lab)]) == 0
    assert f"warning: not in it: 1 artifact of the lab, gone or damaged on its disk: {MODEL_DIGEST[:12]}" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["backup", "b", "--dir", "nowhere"], 1, "there is no lab in"),
        (["backup", "b", "--dir", "lab", "--config", "none.yaml"], 1, "none.yaml: No such file or directory"),
        (["backup", "b", "--dir", "lab", "--keep", "0"], 2, "invalid value for '--keep'"),
        (["restore", "nothing", "--dir", "new"], 1, "nothing: no such folder"),
        (["restore", "lab", "--dir", "new"], 1, "lab holds no backup"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    words: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    lab: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["lab", *words]) == code
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert lines[1].strip().startswith("remedy: ")
