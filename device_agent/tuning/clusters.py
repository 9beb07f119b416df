"""Kinds of cores on a chip: big and little ones, or all alike."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set

from device_agent.tuning.system import SetupRefusedError, number, read

CPU = "sys/devices/system/cpu"
#: Cores of one kind may differ a little in their highest clock (favoured cores); kinds differ by far more.
_SAME_KIND = 0.9
_LIST = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*")


def kinds(allowed: Sequence[int], root: Path = Path("/")) -> List[List[int]]:
    """The cores by kind, the slowest kind first; one group when they are alike.

    Told by `cpu_capacity` (Arm, and x86 hybrids on recent kernels), else by the lists that x86 hybrids have, else by
    the highest clock of each frequency domain (`related_cpus`).

    Args:
        allowed: core numbers.
        root: of the file system, or of a made-up one.
    """
    atoms = parsed(read(root / "sys/devices/cpu_atom/cpus"))
    speeds: Dict[int, float] = {}
    for core in allowed:
        folder = root / CPU / f"cpu{core}"
        capacity = number(folder / "cpu_capacity")
        if capacity is None and atoms:
            capacity = 1 if core in atoms else 2
        speeds[core] = float(capacity if capacity is not None else _domain_clock(folder, root))
    groups: List[List[int]] = []
    fastest = 0.0
    for core in sorted(allowed, key=lambda core: (speeds[core], core)):
        if not groups or fastest < _SAME_KIND * speeds[core]:
            groups.append([])
            fastest = speeds[core]
        groups[-1].append(core)
    return [sorted(group) for group in groups]


def select(text: str, allowed: Sequence[int], root: Path = Path("/")) -> List[int]:
    """The allowed cores that a choice names.

    Args:
        text: "big" (all but the slowest kind), "little" (the slowest kind), or numbers such as "0-3,6".
        allowed: cores that this process may run on.
        root: of the file system, or of a made-up one.

    Raises:
        SetupRefusedError: cores that are not there, may not be used, or are all alike.
    """
    if text in ("big", "little"):
        groups = kinds(allowed, root)
        if len(groups) < 2:
            raise SetupRefusedError(
                f"there are no {text} cores: cores {spelled(allowed)} are alike",
                f"leave the choice of cores out, or name some of {spelled(allowed)}",
            )
        return groups[0] if text == "little" else sorted(core for group in groups[1:] for core in group)
    wanted = parsed(text)
    if not wanted:
        raise SetupRefusedError(f"{text!r} names no cores", "give big, little, or numbers such as 0-3 or 0,2")
    missing = [core for core in wanted if core not in allowed]
    if missing:
        raise SetupRefusedError(
            f"core {spelled(missing)} is not there, or not for this agent: it may use {spelled(allowed)}",
            "give others, or widen its set of cores (cpuset, docker --cpuset-cpus, systemd AllowedCPUs=)",
        )
    return wanted


def in_words(groups: Sequence[Sequence[int]]) -> str:
    """The cores by kind as `select` understands them: "little 0-3, big 4-7".

    Args:
        groups: at least two, the slowest first, see `kinds`.
    """
    return f"little {spelled(groups[0])}, big {spelled([core for group in groups[1:] for core in group])}"


def spelled(cores: Sequence[int]) -> str:
    """Core numbers as the kernel writes them: "0-3,6"."""
    parts: List[str] = []
    ordered = sorted(set(cores))
    for index, core in enumerate(ordered):
        if index and core == ordered[index - 1] + 1:
            first = parts[-1].split("-")[0]
            parts[-1] = f"{first}-{core}"
        else:
            parts.append(str(core))
    return ",".join(parts)


def _domain_clock(folder: Path, root: Path) -> int:
    clock = number(folder / "cpufreq/cpuinfo_max_freq")
    related = parsed(read(folder / "cpufreq/related_cpus"))
    # A core whose own file cannot be read shares the clock of its domain.
    others = (number(root / CPU / f"cpu{core}/cpufreq/cpuinfo_max_freq") for core in related)
    return clock if clock is not None else max((other for other in others if other is not None), default=0)


def parsed(text: Optional[str]) -> List[int]:
    """Numbers in a list as the kernel writes it ("0-3,6", or with spaces); empty for anything else."""
    compact = re.sub(r"\s+", ",", (text or "").strip())
    if not _LIST.fullmatch(compact):
        return []
    found: Set[int] = set()
    for part in compact.split(","):
        low, _, high = part.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return sorted(found)
