"""`gauntlet-agent watch`: look after a board beside this machine, and recover it when it is wedged.

It listens to nobody: what it runs stands in one file, which only its owner may write, and the only thing that it learns
from outside is whether the probe succeeds.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence, Set, Tuple

from device_agent.tuning import runs
from device_agent.tuning.recovery import Limits, Recovery
from device_agent.tuning.system import Run, run_command, user_name
from protos import folderlock

log = logging.getLogger(__name__)

EXAMPLE = """\
{"probe": {"command": ["ping", "-c", "1", "-W", "2", "board.local"], "every_s": 30, "timeout_s": 10},
 "hooks": [{"name": "usb hub", "command": ["uhubctl", "-l", "1-1", "-p", "2", "-a", "cycle"], "timeout_s": 60},
           {"name": "power outlet", "command": ["/usr/local/bin/outlet", "cycle", "3"], "timeout_s": 60}],
 "after_troubles": 3, "min_interval_s": 600, "max_per_day": 5, "settle_s": 120}"""


class WatchConfigError(Exception):
    """The configuration cannot be used; a second line says what to do."""


@dataclass(frozen=True)
class Command:
    """A command of the configuration.

    Attributes:
        name: for the log.
        command: its words; no shell reads them.
        timeout_s: after which it is killed.
    """

    name: str
    command: Tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True)
class WatchConfig:
    """What a person wrote.

    Attributes:
        probe: succeeds while the board is well.
        every_s: between two probes.
        hooks: recovery commands, the mildest first.
        limits: how often they may run.
    """

    probe: Command
    every_s: float
    hooks: Tuple[Command, ...]
    limits: Limits


def watch(config: Path, state_folder: Path, sleep: Callable[[float], None] = time.sleep) -> None:
    """Look after a board until this process is ended.

    Args:
        config: the file that a person wrote.
        state_folder: keeps the history of runs; one for each configuration.
        sleep: between two probes.

    Raises:
        WatchConfigError: the configuration or the folder cannot be used.
    """
    loaded = load_config(config)
    try:
        state_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = folderlock.own(state_folder / "watch.lock")
    except folderlock.FolderInUseError as error:
        raise WatchConfigError(
            f"{state_folder} belongs to another watch (process {error.owner})\ngive each its own --state-dir"
        ) from error
    except OSError as error:
        raise WatchConfigError(
            f"cannot use {state_folder}: {error.strerror}\nchoose another with --state-dir"
        ) from error
    with lock:
        watching = Watch(loaded, state_folder / "runs.json", time.time)
        while True:
            watching.step()
            sleep(loaded.every_s)


def load_config(path: Path) -> WatchConfig:
    """Read a configuration.

    Raises:
        WatchConfigError: not to be read, not to be trusted, or with a mistake; names the key.
    """
    try:
        status = path.stat()
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WatchConfigError(f"{path}: {error}\nwrite one, for example:\n{EXAMPLE}") from error
    if status.st_uid not in (0, os.geteuid()):
        owner = user_name(status.st_uid)
        raise WatchConfigError(f"{path} belongs to {owner}, and its commands would run in your name\nmake it your own")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise WatchConfigError(f"{path} can be written by others, and its commands are run\nchmod go-w {path}")
    try:
        return _parse(json.loads(text))
    except ValueError as error:
        raise WatchConfigError(f"{path}: {error}\nfor example:\n{EXAMPLE}") from error


class Watch:
    """Probes a board, and recovers it within the limits.

    Args:
        config: what a person wrote.
        state_file: keeps the history of runs over restarts and reboots.
        run: carries a command out.
        clock: Unix time.
    """

    def __init__(
        self, config: WatchConfig, state_file: Path, clock: Callable[[], float], run: Run = run_command
    ) -> None:
        self._config = config
        self._file = state_file
        self._clock = clock
        self._run = run
        self._said = ""
        self.state = runs.load(state_file, Recovery(config.limits, len(config.hooks)), clock())

    def step(self) -> None:
        """Probe once, and do what follows from it."""
        problem = self._problem(self._config.probe)
        if not problem:
            if self.state.troubles or self.state.next_hook:
                log.info("the board is well")
            self.state = self.state.well()
            self._said = ""
            return
        log.warning("the board does not answer: %s", problem)
        self.state, hook = self.state.trouble(self._clock())
        if hook is not None:
            self._recover(self._config.hooks[hook])
        elif self.state.blocked and self.state.blocked != self._said:
            self._said = self.state.blocked
            log.error("nothing is done: %s", self.state.blocked)

    def _recover(self, hook: Command) -> None:
        try:
            # On the disk first: the hook may reboot this very machine.
            runs.save(self._file, self.state)
        except OSError as error:
            log.error("%s is not run, since the runs cannot be counted in %s: %s", hook.name, self._file, error)
            return
        log.warning("recovery by %s: %s", hook.name, " ".join(hook.command))
        problem = self._problem(hook)
        if problem:
            log.error("%s failed: %s", hook.name, problem)

    def _problem(self, command: Command) -> str:
        try:
            done = self._run(command.command, command.timeout_s)
        except subprocess.TimeoutExpired:
            return f"{command.name} took longer than {command.timeout_s:g} s"
        except OSError as error:
            return f"{command.name} cannot be started: {error}"
        return f"{command.name} ended with {done.returncode}: {done.stdout.strip()[-200:]}" if done.returncode else ""


def _parse(document: Any) -> WatchConfig:
    top = _object(document, "the file", {"probe", "hooks", *(field.name for field in fields(Limits))})
    if "probe" not in top or not isinstance(top.get("hooks"), list) or not top["hooks"]:
        raise ValueError("it needs a probe and a list of hooks")
    probe = _object(top["probe"], "probe", {"command", "every_s", "timeout_s"})
    hooks = tuple(
        _command(_object(entry, f"hooks[{index}]", {"name", "command", "timeout_s"}), f"hooks[{index}]")
        for index, entry in enumerate(top["hooks"])
    )
    defaults = Limits()
    limits = Limits(
        after_troubles=int(_number(top, "after_troubles", defaults.after_troubles, 1)),
        min_interval_s=_number(top, "min_interval_s", defaults.min_interval_s, 60),
        max_per_day=int(_number(top, "max_per_day", defaults.max_per_day, 1)),
        settle_s=_number(top, "settle_s", defaults.settle_s, 0),
    )
    return WatchConfig(_command(probe, "probe"), _number(probe, "every_s", 30.0, 1), hooks, limits)


def _object(value: Any, where: str, known: Set[str]) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no object")
    unknown = sorted(set(value) - known)
    if unknown:
        raise ValueError(f"{where} has no key {unknown[0]!r}, it has {', '.join(sorted(known))}")
    return value


def _command(entry: Mapping[str, Any], where: str) -> Command:
    words: Sequence[Any] = entry.get("command") or ()
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise ValueError(f"{where}.command must be a list of words")
    listed: List[str] = list(words)
    name = entry.get("name", "the probe" if where == "probe" else " ".join(listed))
    return Command(str(name), tuple(listed), _number(entry, "timeout_s", 30.0, 0.1))


def _number(entry: Mapping[str, Any], name: str, default: float, least: float) -> float:
    value = entry.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < float("inf"):
        raise ValueError(f"{name} must be a number from {least:g} up, not {value!r}")
    return value
