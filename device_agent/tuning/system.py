"""Files of the kernel and commands of the vendor: read, write, run, and say which permission is missing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Callable, List, Optional, Sequence

Run = Callable[[Sequence[str], float], "subprocess.CompletedProcess[str]"]


class SetupRefusedError(Exception):
    """A set-up that cannot be made.

    Attributes:
        message: what, where and why.
        remedy: what to do about it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def run_command(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a command without input; its output and errors are one text.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it was killed.
    """
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,  # nvpmodel asks before it reboots the board: it must never get a yes
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )


def read(path: Path) -> Optional[str]:
    """The text of a small file without its newline; None when it cannot be read."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def number(path: Path) -> Optional[int]:
    """The whole number in a file, or None."""
    try:
        return int(read(path) or "")
    except ValueError:
        return None


def list_folder(folder: Path, pattern: str) -> List[Path]:
    """What of a folder matches, in order; nothing where it cannot be listed, or vanishes meanwhile."""
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def write(path: Path, value: str) -> None:
    """Write in one call, as the kernel's files want it; never makes a file. They ignore O_TRUNC, made-up ones need it.

    Raises:
        OSError: not permitted, or the kernel does not take the value.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def write_refusal(path: Path) -> Optional[SetupRefusedError]:
    """Why this process may not write a file, with the remedy; None when it may."""
    if os.access(path, os.W_OK):
        return None
    try:
        status = path.stat()
        read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError as error:
        return SetupRefusedError(f"{path}: {error.strerror}")
    if read_only:
        return SetupRefusedError(
            f"{path} lies on a file system that is mounted read-only",
            "run the agent on the machine itself, or mount /sys read-write in its container",
        )
    user = user_name(os.geteuid())
    return SetupRefusedError(
        f"{path} may not be written: it belongs to {user_name(status.st_uid)} (mode {status.st_mode & 0o777:04o}), "
        f"and this agent runs as {user}",
        f"run `sudo chown {user} {path}` after each boot (systemd: ExecStartPre=+/bin/chown), or run the agent as root",
    )


def group_name(gid: int) -> str:
    """The name of a group, or its number where it has none."""
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def user_name(uid: int) -> str:
    """The name of a user, or his number where he has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
