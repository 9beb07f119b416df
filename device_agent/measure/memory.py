"""Peak and steady resident memory of this process.

Read from VmHWM in /proc/self/status. Not from getrusage's ru_maxrss: that one is inherited over fork and exec, so that
a worker of a large parent would report the parent's peak (getrusage(2), NOTES).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable, Optional

from protos import figures
from protos.gauntlet.v1 import measurement_pb2 as pb

_FIELD = re.compile(r"^(VmHWM|VmRSS):\s+(\d+) kB$", re.MULTILINE)
# proc(5), clear_refs: 5 resets VmHWM to the current resident size.
_RESET_PEAK = "5"


class ResidentMemory:
    """Reader of this process's resident memory.

    Args:
        proc: the process's folder, `/proc/self` or a made-up one.
    """

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        self._proc = proc

    def now_bytes(self) -> Optional[int]:
        """Resident now, or None off Linux."""
        return self._field("VmRSS")

    def peak_bytes(self) -> Optional[int]:
        """Largest since the process began or `reset_peak` worked, or None off Linux."""
        return self._field("VmHWM")

    def reset_peak(self) -> bool:
        """Forget the peak so far; False where the system does not allow it."""
        try:
            (self._proc / "clear_refs").write_text(_RESET_PEAK)
        except OSError:
            return False
        return True

    def _field(self, name: str) -> Optional[int]:
        try:
            text = (self._proc / "status").read_text()
        except OSError:
            return None
        return next((int(kib) * 1024 for field, kib in _FIELD.findall(text) if field == name), None)


def measure_memory(work: Callable[[], None], memory: Optional[ResidentMemory] = None) -> pb.MemoryResult:
    """Peak while `work` reads a model and runs it, in a process that has done nothing before; steady: what it keeps."""
    memory = memory or ResidentMemory()
    memory.reset_peak()
    before = memory.now_bytes()
    work()
    peak, after = memory.peak_bytes(), memory.now_bytes()
    if before is None or peak is None or after is None:
        absent = figures.unavailable("no VmHWM in /proc/self/status (needs Linux)")
        return pb.MemoryResult(peak_bytes=absent, model_bytes=absent, steady_bytes=absent)
    return pb.MemoryResult(
        peak_bytes=figures.measured(peak),
        model_bytes=figures.measured(max(0, peak - before)),
        steady_bytes=figures.measured(max(0, after - before)),
    )
