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
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    arguments: List[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if arguments[:1] == ["run"]:
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
