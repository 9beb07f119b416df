"""The runs of recovery commands, kept over restarts and reboots: what limits them must not forget."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

from device_agent.tuning.recovery import Recovery

log = logging.getLogger(__name__)


def load(path: Path, fresh: Recovery, now: float) -> Recovery:
    """Take up the history of runs.

    A history that cannot be read counts as if the day's runs were spent just now: it fails towards doing nothing.

    Args:
        path: where it is kept.
        fresh: the state without a history.
        now: Unix time.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        times = tuple(sorted(float(at) for at in kept["runs"]))
        hook = int(kept["next_hook"])
    except FileNotFoundError:
        return fresh
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.error("%s cannot be read (%s): no recovery for 24 hours; remove it to allow it again", path, error)
        times, hook = (now,) * fresh.limits.max_per_day, 0
    return replace(fresh, next_hook=max(0, hook), runs=times)


def save(path: Path, state: Recovery) -> None:
    """Keep it, on the disk when this returns: what is run next may reboot this very machine.

    Raises:
        OSError: it cannot be kept.
    """
    temporary = path.with_suffix(".new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"runs": state.runs, "next_hook": state.next_hook}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
