"""The log of an agent that programs read."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE_S = 60.0


def test_every_line_of_an_agents_log_is_an_object_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    command = [sys.executable, "-m", "device_agent", "run", "--orchestrator", f"unix:{tmp_path}/nobody"]
    options = ["--state-dir", str(tmp_path / "agent"), "--agent-id", "a1", "--no-fitness", "--log-format", "json"]
    with path.open("wb") as file:
        agent = subprocess.Popen([*command, *options], stderr=file, stdout=file)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while "not connected" not in path.read_text():
            assert time.monotonic() < deadline, path.read_text()
            assert agent.poll() is None, path.read_text()
            time.sleep(0.05)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(PATIENCE_S) == 0
    finally:
        agent.kill()
        agent.wait()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["message"] for line in lines][-1] == "stopped"
    of_session = [line for line in lines if line["logger"] == "device_agent.session"]
    assert of_session
    assert {line["agent_id"] for line in of_session} == {"a1"}
