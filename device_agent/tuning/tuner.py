"""Set a device up for a window, and put it back, whatever happens in between."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

from device_agent.tuning import clusters, cpufreq
from device_agent.tuning.jetson import Jetson
from device_agent.tuning.journal import Change, DamagedJournalError, Journal
from device_agent.tuning.system import Run, SetupRefusedError, read, run_command, write, write_refusal
from protos.gauntlet.v1 import setup_pb2

NOT_ALLOWED = "this agent was not started with --allow-setup"
ALLOW_REMEDY = "start it with --allow-setup, which lets jobs change governor, clocks and power mode while they measure"


class Tuner:
    """Changes a machine and puts it back.

    Args:
        journal: keeps the old values; on a disk that outlives this process.
        root: of the file system, or of a made-up one.
        run: carries vendor commands out.
    """

    def __init__(self, journal: Path, root: Path = Path("/"), run: Run = run_command) -> None:
        self._root = root
        self._journal = Journal(journal, root)
        self._jetson = Jetson(root, run, journal.with_name("jetson-clocks.store"))

    @contextmanager
    def held(self, asked: setup_pb2.DeviceSetup) -> Iterator[setup_pb2.SetupReport]:
        """Within the block the machine is as asked; after it, as it was.

        Raises:
            SetupRefusedError: it is not permitted or not possible, or could not be undone. Nothing stays changed but
                what the journal still names.
        """
        report = self.apply(asked)
        try:
            yield report
        finally:
            problems = self.restore()
        if problems:
            raise SetupRefusedError(f"the set-up could not be undone: {'; '.join(problems)}", "see the agent's log")

    def apply(self, asked: setup_pb2.DeviceSetup) -> setup_pb2.SetupReport:
        """Change the machine; `restore` has to follow.

        Raises:
            SetupRefusedError: not permitted or not possible; what had been changed is put back.
        """
        left = self.restore()
        if left:
            # Old values must never be overwritten by changed ones.
            raise SetupRefusedError(f"an earlier set-up is not undone yet: {'; '.join(left)}", "see the agent's log")
        changes = self._plan(asked)
        report = setup_pb2.SetupReport(asked=asked)
        if not changes:
            return report
        try:
            self._journal.write(changes)
        except OSError as error:
            raise SetupRefusedError(
                f"nothing was changed, since the old values cannot be kept in {self._journal.path}: {error.strerror}",
                "make room in the agent's --state-dir",
            ) from error
        try:
            for change in changes:
                report.changes.append(self._make(change))
        except BaseException:
            self.restore()
            raise
        return report

    def restore(self) -> List[str]:
        """Put back whatever the journal names; what cannot be put back stays in it.

        Returns:
            What could not be put back, and why.
        """
        try:
            changes = self._journal.read()
        except DamagedJournalError as error:
            return [str(error)]
        # Vendor commands write governors and limits wholesale: single files come after them.
        backwards = changes[::-1]
        order = [change for change in backwards if not change.is_file]
        order += [change for change in backwards if change.is_file]
        problems = {change: problem for change in order if (problem := self._put_back(change))}
        said = list(problems.values())
        try:
            if problems:
                self._journal.write([change for change in changes if change in problems])
            elif self._journal.path.exists():
                self._journal.clear()
        except OSError as error:
            said.append(f"{self._journal.path}: {error.strerror}")
        return said

    def _plan(self, asked: setup_pb2.DeviceSetup) -> List[Change]:
        changes: List[Change] = []
        if asked.power_mode:
            changes.append(self._jetson.mode_change(asked.power_mode))
        if asked.jetson_clocks:
            changes.append(self._jetson.clocks_change())
        if asked.governor:
            changes += cpufreq.governor_changes(asked.governor, self._root)
        if asked.min_frequency_hz or asked.max_frequency_hz:
            cores = None
            if asked.cores:
                cores = clusters.select(asked.cores, allowed_cores(), self._root)
            changes += cpufreq.limit_changes(asked.min_frequency_hz, asked.max_frequency_hz, cores, self._root)
        for change in changes:
            # Before the first change, so that a missing permission changes nothing at all.
            problem = write_refusal(self._root / change.target) if change.is_file else None
            if problem is not None:
                raise problem
        return changes

    def _make(self, change: Change) -> setup_pb2.SetupChange:
        if not change.is_file:
            read_back = self._jetson.set(change.target, change.wanted)
        else:
            path = self._root / change.target
            try:
                write(path, change.wanted)
            except OSError as error:
                raise SetupRefusedError(
                    f"{path} does not take {change.wanted!r}: {error.strerror}", "see the kernel's log (dmesg)"
                ) from error
            read_back = read(path) or ""
            if read_back != change.wanted:
                raise SetupRefusedError(
                    f"{path} was set to {change.wanted} and says {read_back}",
                    "something else governs it, or the hardware has no such step: ask for one that it has",
                )
        return setup_pb2.SetupChange(
            control=change.control,
            target=self._named(change),
            found=change.found if change.control != "jetson_clocks" else "",
            wanted=change.wanted,
            read_back=read_back,
        )

    def _put_back(self, change: Change) -> str:
        """Why it could not be put back, or nothing."""
        try:
            if not change.is_file:
                self._jetson.put_back(change.target, change.found)
                return ""
            path = self._root / change.target
            write(path, change.found)
            now = read(path)
        except (OSError, SetupRefusedError) as error:
            return f"{self._named(change)} is not back to {change.found}: {error}"
        return "" if now == change.found else f"{self._named(change)} is not back to {change.found}: it says {now}"

    @staticmethod
    def _named(change: Change) -> str:
        return f"/{change.target}" if change.is_file else change.target


def allowed_cores() -> List[int]:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def controls(
    permitted: bool, root: Path = Path("/"), allowed: Optional[Sequence[int]] = None
) -> List[setup_pb2.Control]:
    """What a job may ask to be set here, and why not the rest.

    Args:
        permitted: by whoever started the agent; a choice of cores needs no permission.
        root: of the file system, or of a made-up one.
        allowed: cores that the worker may run on; None: those of this process.
    """
    jetson = Jetson(root, run_command, Path())
    found = cpufreq.policies(root)
    governors = sorted({read(policy.folder / "scaling_governor") or "" for policy in found})
    offered = set.intersection(*(set(policy.governors) for policy in found)) if found else set()
    limits = [
        f"{policy.name} {read(policy.folder / 'scaling_min_freq')}-{read(policy.folder / 'scaling_max_freq')} kHz"
        for policy in found
    ]
    modes = jetson.modes()
    described = [
        ("governor", "+".join(governors), sorted(offered), cpufreq.refusal(root, ["scaling_governor"])),
        ("clock_limits", ", ".join(limits), [], cpufreq.refusal(root, ["scaling_min_freq", "scaling_max_freq"])),
        ("power_mode", "", [*modes, *modes.values()], jetson.refusal("nvpmodel")),
        ("jetson_clocks", "", [], jetson.refusal("jetson_clocks")),
    ]
    listed = []
    for name, state, choices, problem in described:
        # What is not there at all is said first: a permission would not help.
        if problem is None and not permitted:
            problem = SetupRefusedError(NOT_ALLOWED, ALLOW_REMEDY)
        reason = f"{problem.message}; {problem.remedy}".rstrip("; ") if problem else ""
        listed.append(setup_pb2.Control(name=name, state=state, choices=choices, unavailable=reason))
    listed.append(_cores_control(root, allowed if allowed is not None else allowed_cores()))
    return listed


def _cores_control(root: Path, allowed: Sequence[int]) -> setup_pb2.Control:
    if not hasattr(os, "sched_setaffinity"):
        return setup_pb2.Control(name="cores", unavailable="this system does not hold processes to cores")
    groups = clusters.kinds(allowed, root)
    if len(groups) < 2:
        return setup_pb2.Control(
            name="cores", state=f"{clusters.spelled(allowed)}, all alike", choices=[clusters.spelled(allowed)]
        )
    return setup_pb2.Control(name="cores", state=clusters.in_words(groups), choices=["big", "little"])
