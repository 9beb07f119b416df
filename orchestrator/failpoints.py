"""Where a drill lets the orchestrator die: at one step, as if it had been killed there.

    GAUNTLET_FAILPOINT=lease.after_commit python -m orchestrator …        the first time that it gets there
    GAUNTLET_FAILPOINT=lease.after_commit:5 python -m orchestrator …      the fifth

Armed when the process starts, from its environment alone. Unarmed, a point is a call of an empty function.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Mapping

from orchestrator.config import ConfigError

VARIABLE = "GAUNTLET_FAILPOINT"
#: As a shell reports SIGKILL: for whoever looks at the process, it was killed.
EXIT_CODE = 137

#: In the order in which a job passes them. What is written at *before_commit* dies with the process.
POINTS = (
    "submit.before_commit",
    "submit.after_commit",
    "lease.before_commit",
    "lease.after_commit",
    "lease.after_send",
    "result.before_commit",
    "result.before_ack",
    "result.after_ack",
)


def _pass(point: str) -> None:
    """Nothing is armed."""


#: Call it at a point.
reach: Callable[[str], None] = _pass


def arm(environment: Mapping[str, str]) -> None:
    """Arm the point that the environment names, if it names one.

    Raises:
        ConfigError: there is no such point.
    """
    global reach  # so that an unarmed point costs a call and no look at a variable
    wanted = environment.get(VARIABLE, "")
    if not wanted:
        return
    armed, _, times = wanted.partition(":")
    if armed not in POINTS or not re.fullmatch(r"([1-9][0-9]{0,5})?", times):
        known = ", ".join(POINTS)
        raise ConfigError(f"{VARIABLE}={wanted!r} names no failpoint\nunset it, or for a drill: {known}, or POINT:N")
    fatal = int(times or "1")
    passes = itertools.count(1)

    def die(point: str) -> None:
        if point == armed and next(passes) == fatal:
            os._exit(EXIT_CODE)

    reach = die
