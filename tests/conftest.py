"""What all tests share: the data folder, and a guard against forks."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_forks: list[str] = []


def _note_fork() -> None:
    # A fork copies gRPC's threads half: the child hangs some day. (subprocess without preexec_fn does not come here.)
    if "grpc" in sys.modules:
        _forks.append("".join(traceback.format_stack(limit=8)))


os.register_at_fork(before=_note_fork)
# Timed windows of these tests need not wait for those of an agent, or of other tests, on this machine. Those that run
# side by side inherit the variable, and still have each a lock of their own.
os.environ["GAUNTLET_HOST_LOCK"] = str(Path(tempfile.mkdtemp(prefix="gauntlet-tests-")) / "host.lock")

# Agents that tests start check their device only where that is what is tested: each check takes a second.
os.environ.setdefault("GAUNTLET_FITNESS", "0")


@pytest.fixture(autouse=True)
def no_fork_after_grpc() -> Iterator[None]:
    """Nothing forks once gRPC is loaded."""
    _forks.clear()
    yield
    assert not _forks, f"os.fork() with gRPC loaded:\n{_forks[0]}"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data and models; the test is skipped without it."""
    folder = Path(os.environ.get("GAUNTLET_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}; set GAUNTLET_DATA")
    return folder


@pytest.fixture(scope="session")
def models(data: Path) -> Path:
    """The folder of real .tflite models."""
    return data / "tflite"
