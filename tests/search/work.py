"""What worker processes are given to do. Little is imported: each of them takes seconds to import torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from search.errors import SearchError


def double(number: int) -> int:
    return 2 * number


def where() -> tuple[int, int, int]:
    """Process, its session, and threads of torch there."""
    import torch

    return os.getpid(), os.getsid(0), torch.get_num_threads()


def fall(path: Path, deaths: int) -> int:
    """Die as if memory were short, so many times."""
    before = int(path.read_text()) if path.exists() else 0
    if before < deaths:
        path.write_text(str(before + 1))
        os.kill(os.getpid(), signal.SIGKILL)
    return before


def chatter() -> str:
    sys.stdout.write("a builder that talks\n")
    subprocess.run([sys.executable, "-c", "print('and its children')"], check=True)
    return sys.stdin.read()


def diverge() -> None:
    from search.supernet import TrainingDivergedError

    raise TrainingDivergedError(3, float("nan"), "the loss", None)


def refuse() -> None:
    raise SearchError("no", "do something else")


class OddError(Exception):
    def __init__(self) -> None:
        super().__init__("odd")
        self.lock = threading.Lock()


def odd() -> None:
    raise OddError


def sleep(path: Path) -> None:
    path.write_text(str(os.getpid()))
    time.sleep(60)
