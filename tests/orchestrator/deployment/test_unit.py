"""What keeps the agent running, as text; systemd's own tools read it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.deployment.layout import Layout
from orchestrator.deployment.unit import UNIT, Unit, may_filter

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: systemd)"
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Of a board that has a release."""
    layout = Layout(str(tmp_path / "home"))
    python = Path(layout.current) / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    return layout


def verified(folder: Path, text: str, *words: str) -> str:
    """What systemd says of it: nothing, if it is well."""
    (folder / UNIT).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", *words, "verify", str(folder / UNIT)], capture_output=True, text=True, check=False
    )
    # Of other units, and of an environment without a manager.
    return "\n".join(line for line in done.stderr.splitlines() if UNIT in line)


@needs_systemd
@pytest.mark.parametrize("options", [(), ("--allow-setup",), ("--label=room=50% of \"2\" $HOME 'x' \\",)])
@pytest.mark.parametrize("filters", [True, False])
def test_systemd_understands_the_units(layout: Layout, tmp_path: Path, options: tuple[str, ...], filters: bool) -> None:
    unit = Unit("pi4", layout, options, "root", may_filter=filters)
    assert verified(tmp_path, unit.system_text()) == ""
    assert verified(tmp_path, unit.user_text()) == ""


@needs_systemd
def test_a_key_that_systemd_does_not_know_would_be_noticed(layout: Layout, tmp_path: Path) -> None:
    text = Unit("pi4", layout, (), "root").system_text().replace("ProtectHostname", "ProtectHostnames")
    assert "ProtectHostnames" in verified(tmp_path, text)


@needs_systemd
def test_the_unit_of_the_system_exposes_little(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / UNIT).write_text(Unit("pi4", layout, (), "nobody").system_text())
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(tmp_path / UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Unknown" in done.stderr or "unrecognized" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge files (before 250)")
    found = re.search(r"Overall exposure level for \S+: (?P<level>[\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found["level"]) < 5.0  # 9.x without any of it


def test_words_arrive_as_they_are() -> None:
    words = ["--label=a=1 2", "--label=b=50%", "--label=c=$HOME", '--label=d="x"', "--label=e=\\n"]
    text = Unit("pi4", Layout("/home/a b"), words, "pi").system_text()
    [line] = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    # systemd's quoting is that of a shell but for specifiers and variables (systemd.service(5), "Command lines").
    got = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line.removeprefix("ExecStart="))]
    assert got[-5:] == words
    assert got[0] == "/home/a b/.local/share/gauntlet/current/bin/python"


def test_a_device_that_jobs_may_set_up_keeps_what_that_takes() -> None:
    closed = Unit("pi4", Layout("/root"), (), "root").system_text()
    open_ = Unit("pi4", Layout("/root"), ("--allow-setup",), "root").system_text()
    for line in ("ProtectKernelTunables=yes", "CapabilityBoundingSet="):
        assert line in closed
        assert line not in open_


@pytest.mark.parametrize(
    ("machine", "kernel", "filters"),
    [
        ("x86_64", "6.1.0-18-amd64", True),
        ("x86_64", "5.16.0", True),
        ("x86_64", "5.15.0-91-generic", False),
        ("x86_64", "nonsense", False),
        ("aarch64", "5.10.104-tegra", True),
    ],
)
def test_filters_of_system_calls_are_left_out_where_they_would_slow_down_what_is_measured(
    machine: str, kernel: str, filters: bool
) -> None:
    assert may_filter(machine, kernel) is filters
    text = Unit("pi4", Layout("/root"), (), "root", may_filter(machine, kernel)).system_text()
    assert ("RestrictAddressFamilies=" in text) is filters
    assert ("ProtectKernelLogs=" in text) is filters


def test_the_script_is_one_that_a_shell_understands(tmp_path: Path) -> None:
    script = tmp_path / "run"
    script.write_text(Unit("pi4", Layout("/home/a b"), ["--label=a=it's"]).script())
    subprocess.run(["sh", "-n", str(script)], check=True)
