"""Real processes, really killed; and a real lack of permission."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator

import pytest

from device_agent.tuning.tuner import Tuner
from tests.device_agent.tuning.board import board, values

_PROJECT = Path(__file__).resolve().parents[3]
_ROUNDS, _MOST_ROUNDS = 12, 60
_LOOP = """
import sys, time
from pathlib import Path
from device_agent.tuning.tuner import Tuner
from protos.gauntlet.v1.setup_pb2 import DeviceSetup
tuner = Tuner(Path(sys.argv[1]), Path(sys.argv[2]))
asked = DeviceSetup(governor="performance", min_frequency_hz=6e8, max_frequency_hz=1.5e9)
print("ready", flush=True)
while True:
    with tuner.held(asked):
        time.sleep(0.005)
"""
_AS_NOBODY = (
    _LOOP[: _LOOP.index("print(")]
    + """
import os
import pwd  # what is imported later, another user may not be able to read
from device_agent.tuning.system import SetupRefusedError
os.setuid(65534)
try:
    tuner.apply(asked)
except SetupRefusedError as error:
    print(error.message, "|", error.remedy)
"""
)


def test_killed_at_any_moment_the_next_life_restores(tmp_path: Path) -> None:
    root, journal, draw = board(tmp_path / "root"), tmp_path / "setup.json", random.Random(7)
    before, interrupted = values(root), 0
    for number in range(_MOST_ROUNDS):
        if number >= _ROUNDS and interrupted >= 3:
            break
        process = subprocess.Popen(
            [sys.executable, "-c", _LOOP, str(journal), str(root)], stdout=subprocess.PIPE, cwd=_PROJECT
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(draw.uniform(0.0, 0.03))
        process.kill()
        process.wait()
        process.stdout.close()
        interrupted += values(root) != before
        assert Tuner(journal, root).restore() == []
        assert values(root) == before
        assert not journal.exists()
    assert interrupted >= 3, "hardly a kill fell into a window: the test shows nothing"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that another user may look into, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp(prefix="gauntlet-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_user_without_the_right_is_told_which_one(open_folder: Path) -> None:
    root = board(open_folder / "root")
    state = open_folder / "state"
    state.mkdir()
    os.chown(state, 65534, 65534)
    before = values(root)
    command = [sys.executable, "-c", _AS_NOBODY, str(state / "setup.json"), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=_PROJECT, check=True)
    path = root / "sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
    assert f"{path} may not be written: it belongs to root (mode 0644), and this agent runs as nobody" in done.stdout
    assert f"sudo chown nobody {path}" in done.stdout
    assert values(root) == before
    assert list(state.iterdir()) == []
