"""`gauntlet-agent` as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from device_agent.cli import main


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["run"],
        ["run", "--orchestrator", "0.0.0.0:1"],
        ["run", "--orchestrator", "nonsense"],
        ["run", "--orchestrator", "127.0.0.1:1", "--label", "room"],
        ["run", "--orchestrator", "127.0.0.1:1", "--label", "=x"],
        ["run", "--orchestrator", "127.0.0.1:1", "--agent-id", "../x"],
        ["run", "--orchestrator", "127.0.0.1:1", "--device-id", "a b"],
        ["run", "--orchestrator", "127.0.0.1:1", "--device-class", "a/b"],
        ["run", "--orchestrator", "127.0.0.1:1", "--cache-mb", "0"],
        ["run", "--orchestrator", "127.0.0.1:1", "--cache-mb", "many"],
        ["run", "--orchestrator", "127.0.0.1:1", "--noise-floor-every", "nightly"],
        ["run", "--orchestrator", "127.0.0.1:1", "--noise-floor-every", "-1"],
        ["run", "--orchestrator", "127.0.0.1:1", "--noise-floor-every", "nan"],
        ["run", "--orchestrator", "127.0.0.1:1", "--noise-floor-every", "inf"],
        ["bridge"],
        ["bridge", "--orchestrator", "127.0.0.1:1", "--phone", "4A2B"],
        ["bridge", "--orchestrator", "127.0.0.1:1", "--phone", "=left"],
        ["bridge", "--orchestrator", "127.0.0.1:1", "--phone", "4A2B=on the left"],
        ["bridge", "--orchestrator", "127.0.0.1:1", "--phone", "4A2B=x", "--phone", "77=x"],
        ["bridge", "--orchestrator", "127.0.0.1:1", "--phone", "4A2B=x", "--phone", "4A2B=y"],
        ["bridge", "--orchestrator", "127.0.0.1:1", "--runner", "/no/such/runner"],
        ["bridge", "--orchestrator", "127.0.0.1:1", "--adb-port", "80"],
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    arguments: List[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if arguments[:1] in (["run"], ["bridge"]):
        arguments = [*arguments, "--state-dir", str(tmp_path)]
    try:
        code = main(arguments)
    except SystemExit as error:  # argparse
        code = int(error.code or 0)
    said = capsys.readouterr()
    assert code == 2
    assert "Traceback" not in said.err
    assert "error: " in said.err
    assert said.out == ""


def test_a_bridge_without_adb_says_how_to_get_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["bridge", "--orchestrator", "127.0.0.1:1", "--state-dir", str(tmp_path), "--adb", "/no/such/adb"]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "error: cannot run /no/such/adb: No such file or directory" in said
    assert "apt-get install adb" in said


def test_the_doctor_speaks_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {"topic", "status", "text", "remedy"} <= set(findings[0])
    assert {"energy", "runtimes"} <= {finding["topic"] for finding in findings}


def test_help_and_version_load_neither_grpc_nor_numpy() -> None:
    code = (
        "import sys; from device_agent.cli import main\ntry: main(['--version'])\nfinally: print(sorted(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "gauntlet-agent" in said
    assert "'grpc'" not in said
    assert "'numpy'" not in said
