"""The health check of a container asks the lab of its settings."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import probe
from protos.addresses import split
from tests.orchestrator.lab import running
from tests.orchestrator.security.lab import secure_lab


async def ask(*arguments: str, **environ: str) -> int:
    return await asyncio.to_thread(probe.main, arguments, environ)


async def test_a_lab_that_serves_is_well(tmp_path: Path) -> None:
    async with running(tmp_path) as address:
        assert await ask("--address", address, "--dir", str(tmp_path / "lab")) == 0


async def test_one_with_tls_is_asked_where_no_certificate_is_wanted(tmp_path: Path) -> None:
    async with secure_lab(tmp_path) as lab:
        everywhere = f"0.0.0.0:{split(lab.address)[1]}"  # as a container listens
        assert await ask(GAUNTLET_LAB_ADDRESS=everywhere, GAUNTLET_LAB_DIR=str(lab.folder)) == 0


async def test_one_that_is_about_to_stop_is_not_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from orchestrator.services.health import Health

    begin = Health.begin

    async def begin_to_end(health: Health) -> None:
        await begin(health)
        await health.end()

    monkeypatch.setattr(Health, "begin", begin_to_end)
    async with running(tmp_path) as address:
        assert await ask("--address", address, "--dir", str(tmp_path / "lab")) == 1
    assert capsys.readouterr().err == "error: the lab is about to stop\n"


def test_nobody_at_home_is_said_in_one_line(tmp_path: Path) -> None:
    words = ["--address", f"unix:{tmp_path}/none", "--dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.probe", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the lab does not answer: ")
    assert len(done.stderr.splitlines()) == 1


def test_one_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probe, "_TIMEOUT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        assert probe.main(["--address", f"unix:{tmp_path}/s", "--dir", str(tmp_path)], {}) == 1
    assert "does not answer" in capsys.readouterr().err


def test_wrong_settings_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main([], {"GAUNTLET_LAB_ADRESS": "x"}) == 2
    assert "did you mean GAUNTLET_LAB_ADDRESS" in capsys.readouterr().err
