"""Hold the worker to the cores that suit a measurement best."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Tuple

from device_agent.tuning import clusters
from device_agent.tuning.system import SetupRefusedError
from device_agent.tuning.window import unfit

_CPU = "sys/devices/system/cpu"


def choose_cores(allowed: Sequence[int], threads: int, root: Path = Path("/")) -> Optional[List[int]]:
    """One core for each thread: the fastest kind, each a physical core of its own, far from core 0.

    Core 0 serves most interrupts. The big cores of a big.LITTLE chip have the larger `cpu_capacity`.

    Args:
        allowed: cores that this process may run on.
        threads: how many are needed.
        root: of the file system, or of a made-up one.

    Returns:
        Core numbers, or None when there are fewer cores than threads.
    """
    if threads > len(allowed):
        return None

    def speed(core: int) -> Tuple[int, int]:
        folder = root / _CPU / f"cpu{core}"
        return _number(folder / "cpu_capacity"), _number(folder / "cpufreq/cpuinfo_max_freq")

    chosen: List[int] = []
    left = sorted(allowed, key=lambda core: (*speed(core), core), reverse=True)
    taken = set()
    # First round: one hardware thread of each physical core; second round: whatever is left.
    for core in list(left):
        siblings = _siblings(root / _CPU / f"cpu{core}") or str(core)
        if siblings not in taken and len(chosen) < threads:
            taken.add(siblings)
            chosen.append(core)
            left.remove(core)
    return sorted(chosen + left[: threads - len(chosen)])


class Pinning:
    """Pins this process for a while, if it can.

    Args:
        threads: how many cores are needed.
        wanted: False leaves the process where it is.
        among: "big", "little", or numbers such as "0-3"; empty: any.

    Raises:
        MeasurementError: `among` was given and cannot be met.
    """

    def __init__(self, threads: int, wanted: bool, among: str = "") -> None:
        self.cpus: List[int] = []
        self.remark = ""
        self._restore: Callable[[], None] = lambda: None
        if not wanted:
            return
        if not hasattr(os, "sched_setaffinity"):
            self.remark = "not held to cores: this system does not offer it"
            return
        before = os.sched_getaffinity(0)
        allowed = sorted(before)
        if among:
            try:
                allowed = clusters.select(among, allowed)
            except SetupRefusedError as error:
                raise unfit(error) from error
        cores = choose_cores(allowed, threads)
        if cores is None and among:
            raise unfit(
                SetupRefusedError(
                    f"{threads} threads do not fit on cores {clusters.spelled(allowed)} ({among})",
                    "ask for fewer threads or more cores",
                )
            )
        if cores is None:
            self.remark = f"not held to cores: {threads} threads on {len(before)} allowed cores"
            return
        try:
            os.sched_setaffinity(0, cores)
        except OSError as error:
            self.remark = f"not held to cores: {error.strerror}"
            return
        self.cpus = cores
        self._restore = lambda: os.sched_setaffinity(0, before)

    def release(self) -> None:
        """Run anywhere again."""
        self._restore()


def _siblings(folder: Path) -> str:
    try:
        return (folder / "topology/thread_siblings_list").read_text().strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
