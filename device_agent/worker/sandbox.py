"""What a worker does to itself before it touches anybody's model."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def enter(parent_pid: int, memory_limit_bytes: int) -> None:
    """Die with the agent, leave no core files, and stay under a memory limit.

    Args:
        parent_pid: the agent.
        memory_limit_bytes: of address space; 0: none.

    Raises:
        SystemExit: the agent is gone already.
    """
    _die_with(parent_pid)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_limit_bytes:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = memory_limit_bytes if hard == resource.RLIM_INFINITY else min(memory_limit_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _die_with(parent_pid: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # It may have died before the call; the worker then belongs to somebody else.
    if os.getppid() != parent_pid:
        raise SystemExit("the agent is gone")
