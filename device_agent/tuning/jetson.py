"""NVIDIA's two commands: nvpmodel (power mode) and jetson_clocks (all clocks at the mode's highest)."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Dict, List, Optional

from device_agent.tuning.journal import Change
from device_agent.tuning.system import Run, SetupRefusedError, read, user_name

NVPMODEL, JETSON_CLOCKS = "nvpmodel", "jetson_clocks"
TIMEOUT_S = 30.0
_FOLDERS = ("usr/sbin", "usr/bin", "sbin", "bin")
_MODE = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+?)\s*>")


class Jetson:
    """The commands of one board.

    Args:
        root: of the file system, or of a made-up one.
        run: carries a command out.
        store: file in which jetson_clocks keeps what it finds.
    """

    def __init__(self, root: Path, run: Run, store: Path) -> None:
        self._root = root
        self._run = run
        self._store = store

    def modes(self) -> Dict[str, str]:
        """Number of each power mode by its name."""
        return {name: number for number, name in _MODE.findall(read(self._root / "etc/nvpmodel.conf") or "")}

    def mode(self) -> str:
        """Number of the present power mode.

        Raises:
            SetupRefusedError: it cannot be had.
        """
        said = self._do(NVPMODEL, "-q")
        lines = [line.strip() for line in said.splitlines()]
        numbers = [line for line in lines if line.isdigit()]
        if not numbers:
            raise SetupRefusedError(f"`{NVPMODEL} -q` does not tell the power mode: {said.strip()[-200:]!r}")
        return numbers[-1]

    def mode_change(self, wanted: str) -> Change:
        """What has to be done for a power mode.

        Raises:
            SetupRefusedError: there is no such mode, or it may not be set.
        """
        self.require(NVPMODEL)
        modes = self.modes()
        number = modes.get(wanted, wanted)
        if not number.isdigit() or (modes and number not in modes.values()):
            known = ", ".join(f"{name} ({number})" for name, number in modes.items()) or "known by number only"
            raise SetupRefusedError(f"there is no power mode {wanted!r}", f"this board's are {known}")
        return Change("power_mode", NVPMODEL, self.mode(), number)

    def clocks_change(self) -> Change:
        """What has to be done for the highest clocks; what they are now is kept in the store first.

        Raises:
            SetupRefusedError: it may not be done.
        """
        self.require(JETSON_CLOCKS)
        self._store.unlink(missing_ok=True)  # jetson_clocks asks before it overwrites a file
        self._do(JETSON_CLOCKS, "--store", str(self._store))
        try:
            with self._store.open("rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise SetupRefusedError(f"{JETSON_CLOCKS} kept no record of the clocks: {error.strerror}") from error
        return Change("jetson_clocks", JETSON_CLOCKS, str(self._store), "on")

    def set(self, target: str, value: str) -> str:
        """Carry a change out; returns what the board then says.

        Raises:
            SetupRefusedError: it did not take it.
        """
        if target == JETSON_CLOCKS:
            self._do(JETSON_CLOCKS)
            return "on"
        said = self._do(NVPMODEL, "-m", value)
        now = self.mode()
        if now != value:
            raise SetupRefusedError(
                f"{NVPMODEL} stayed in mode {now}: {said.strip()[-200:]}",
                "a mode that needs a reboot is set by hand: sudo nvpmodel -m MODE, then reboot",
            )
        return now

    def put_back(self, target: str, found: str) -> None:
        """Undo a change.

        Raises:
            SetupRefusedError: it could not be undone.
        """
        if target == JETSON_CLOCKS:
            self._do(JETSON_CLOCKS, "--restore", found)
        else:
            self.set(target, found)

    def refusal(self, command: str) -> Optional[SetupRefusedError]:
        """Why a command cannot be used; None when it can."""
        try:
            self.require(command)
        except SetupRefusedError as error:
            return error
        return None

    def require(self, command: str) -> Path:
        """The command's file.

        Raises:
            SetupRefusedError: it is not there, or this process is not root.
        """
        places: List[Path] = [self._root / folder / command for folder in _FOLDERS]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise SetupRefusedError(f"no {command} on this machine (it comes with NVIDIA's JetPack)")
        if os.geteuid() != 0:
            raise SetupRefusedError(
                f"{path} changes clocks for root only, and this agent runs as {user_name(os.geteuid())}",
                "run the agent as root (systemd: User=root)",
            )
        return path

    def _do(self, command: str, *arguments: str) -> str:
        words = [str(self.require(command)), *arguments]
        spelled = " ".join([command, *arguments])
        try:
            done = self._run(words, TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise SetupRefusedError(f"`{spelled}` took longer than {TIMEOUT_S:g} s and was killed") from error
        except OSError as error:
            raise SetupRefusedError(f"`{spelled}` cannot be started: {error.strerror}") from error
        if done.returncode:
            raise SetupRefusedError(f"`{spelled}` failed ({done.returncode}): {done.stdout.strip()[-300:]}")
        return done.stdout
