"""Governors and clock limits of the kernel's cpufreq."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Sequence

from device_agent.hoststate import NO_CPUFREQ
from device_agent.tuning.clusters import CPU
from device_agent.tuning.journal import Change
from device_agent.tuning.system import SetupRefusedError, number, read, write_refusal


@dataclass(frozen=True)
class Policy:
    """Cores that share a clock.

    Attributes:
        folder: of its files.
        name: for messages, such as "policy4".
        cores: their numbers.
    """

    folder: Path
    name: str
    cores: Sequence[int]

    @property
    def governors(self) -> List[str]:
        """Those that the kernel offers."""
        return (read(self.folder / "scaling_available_governors") or "").split()


def policies(root: Path = Path("/")) -> List[Policy]:
    """All policies of cores that are online; empty without cpufreq."""
    folders = list((root / CPU / "cpufreq").glob("policy[0-9]*"))
    if not folders:
        # Without the common folder each core has its own, and cores of one clock show the same.
        folders = list((root / CPU).glob("cpu[0-9]*/cpufreq"))
    found = []
    seen = set()
    for folder in sorted(folders, key=lambda path: (len(str(path)), path)):
        own = folder.name if folder.name != "cpufreq" else folder.parent.name
        related = read(folder / "related_cpus") or own.lstrip("policyu")
        # An offline policy keeps its folder and refuses to be read.
        if related in seen or read(folder / "scaling_governor") is None:
            continue
        seen.add(related)
        found.append(Policy(folder, own, [int(core) for core in related.split() if core.isdigit()]))
    return found


def governor_changes(governor: str, root: Path) -> List[Change]:
    """What has to be written for all cores to have a governor.

    Raises:
        SetupRefusedError: there is no such governor, or it may not be set.
    """
    found = _policies(root)
    for policy in found:
        if governor not in policy.governors:
            offered = ", ".join(policy.governors) or "none"
            raise SetupRefusedError(
                f"{policy.name} has no governor {governor!r}, it has {offered}", "ask for one of them"
            )
    return [_change("governor", policy, "scaling_governor", governor, root) for policy in found]


def limit_changes(low_hz: float, high_hz: float, cores: Optional[Sequence[int]], root: Path) -> List[Change]:
    """What has to be written for the clocks to stay within limits, in an order that the kernel takes.

    Args:
        low_hz: 0 leaves the lower limit, or lowers it to the upper one.
        high_hz: 0 leaves the upper limit.
        cores: whose clocks; None: all.
        root: of the file system, or of a made-up one.

    Raises:
        SetupRefusedError: out of the hardware's range, or not to be set.
    """
    changes: List[Change] = []
    for policy in _policies(root):
        if cores is None or set(cores) & set(policy.cores):
            changes += _limits(policy, round(low_hz / 1000), round(high_hz / 1000), root)
    if not changes:
        raise SetupRefusedError(f"cores {cores} have no clock that can be limited", "choose other cores")
    return changes


def refusal(root: Path, names: Sequence[str]) -> Optional[SetupRefusedError]:
    """Why these files of the policies cannot be written; None when they can."""
    try:
        for policy in _policies(root):
            for name in names:
                problem = write_refusal(policy.folder / name)
                if problem is not None:
                    return problem
    except SetupRefusedError as error:
        return error
    return None


def _limits(policy: Policy, low: int, high: int, root: Path) -> List[Change]:
    """In kHz, as the kernel's files have it."""
    least, most = number(policy.folder / "cpuinfo_min_freq"), number(policy.folder / "cpuinfo_max_freq")
    low_now, high_now = number(policy.folder / "scaling_min_freq"), number(policy.folder / "scaling_max_freq")
    if least is None or most is None or low_now is None or high_now is None:
        raise SetupRefusedError(f"{policy.folder} does not tell the range of its clock")
    for wanted in (low, high):
        if wanted and not least <= wanted <= most:
            raise SetupRefusedError(
                f"{policy.name} (cores {' '.join(map(str, policy.cores))}) goes from {least / 1e6:g} to {most / 1e6:g} "
                f"GHz, not to {wanted / 1e6:g}",
                "ask for a clock in its range, or choose other cores",
            )
    top = high or high_now
    bottom = low or min(low_now, top)
    if bottom > top:
        raise SetupRefusedError(
            f"the lower limit {bottom / 1e6:g} GHz lies above the upper one of {policy.name}, {top / 1e6:g} GHz",
            "give both limits",
        )
    upper = _change("clock_limits", policy, "scaling_max_freq", str(top), root)
    lower = _change("clock_limits", policy, "scaling_min_freq", str(bottom), root)
    # The kernel refuses a lower limit above the upper one at any moment; put back in reverse, this holds as well.
    return [upper, lower] if bottom > high_now else [lower, upper]


def _policies(root: Path) -> List[Policy]:
    found = policies(root)
    if not found:
        raise SetupRefusedError(NO_CPUFREQ, "run the agent on the machine itself")
    return found


def _change(control: str, policy: Policy, name: str, wanted: str, root: Path) -> Change:
    path = policy.folder / name
    found = read(path)
    if found is None:
        raise SetupRefusedError(f"{path} cannot be read")
    return Change(control, str(path.relative_to(root)), found, wanted)
