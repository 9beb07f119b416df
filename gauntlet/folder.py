"""The lab's folder: where it lies, who holds it, and how a second command finds the lab that runs in it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from gauntlet.errors import LabError, UsageError

_RECORD = "lab.json"
_LOCK = "lock"
_PREFIX = "gauntlet-"
#: Name of the FIFO in the private folder of a running lab, see `embedded`.
LIFELINE = "lifeline"
_SWEEP_AGE_S = 60.0
#: A socket's path is limited to 107 bytes on Linux and 103 on macOS.
_MAX_FOLDER_BYTES = 80


@dataclass(frozen=True)
class LabRecord:
    """What a running lab writes into its folder for others to find it.

    Attributes:
        pid: of the command that started it.
        address: of its orchestrator.
        runtime_folder: private folder of socket and lifeline; empty for a server.
        lifeline: FIFO to hold open for as long as the lab is used; empty for a server, which lives on its own.
        measures: devices can join, or have joined. False while only the books are read.
    """

    pid: int
    address: str
    runtime_folder: str = ""
    lifeline: str = ""
    measures: bool = True


def default_folder() -> Path:
    """`$GAUNTLET_LAB_DIR`, or the user's state folder."""
    if chosen := os.environ.get("GAUNTLET_LAB_DIR"):
        return Path(chosen)
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "gauntlet" / "lab"


def prepare(folder: Path) -> Path:
    """Make the folder, for its owner only, and return its absolute path.

    Raises:
        UsageError: it cannot be made or written.
    """
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid == os.getuid():
            folder.chmod(0o700)
    except OSError as error:
        raise UsageError(
            f"cannot make the lab folder {folder}: {error.strerror}", "choose another one with --lab-dir"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"the lab folder {folder} may not be written", "choose another one with --lab-dir")
    return folder


def try_lock(folder: Path) -> int | None:
    """Take the folder's lock without waiting.

    The lock belongs to the open file: children that inherit the descriptor hold it too, so that no second lab starts
    before the last process of the first is gone.

    Returns:
        The descriptor that holds the lock, or None while another lab holds it.
    """
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise LabError(
            f"cannot lock the lab folder {folder}: {error.strerror}", "choose a folder on a local disk with --lab-dir"
        ) from error
    return descriptor


def read_record(folder: Path) -> LabRecord | None:
    """The record of the lab in this folder, or None. It is only as fresh as the lock that is held beside it."""
    try:
        return LabRecord(**json.loads((folder / _RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_record(folder: Path, record: LabRecord) -> None:
    """Write the record in one step: a reader sees all of it or none."""
    new = folder / f"{_RECORD}.new"
    new.write_text(json.dumps(asdict(record)) + "\n")
    new.replace(folder / _RECORD)


def clear_record(folder: Path) -> None:
    """Remove the record and what its lab left outside the folder. Only for the holder of the lock."""
    record = read_record(folder)
    (folder / _RECORD).unlink(missing_ok=True)
    if record is None or not record.runtime_folder:
        return
    leftover = Path(record.runtime_folder)
    # The record is a file like any other: remove nothing that does not look like ours.
    with contextlib.suppress(OSError):
        if leftover.name.startswith(_PREFIX) and leftover.stat().st_uid == os.getuid() and not leftover.is_symlink():
            shutil.rmtree(leftover)


def make_runtime_folder() -> Path:
    """A private folder with a path short enough for a socket in it."""
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108  # mkdtemp is private
        if parent and len(os.fsencode(parent)) <= _MAX_FOLDER_BYTES and os.access(parent, os.W_OK | os.X_OK):
            _sweep(Path(parent))
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    raise LabError("found no folder for the lab's socket", "set TMPDIR to a writable folder with a short path")


def _sweep(parent: Path) -> None:
    """Remove what killed labs left here whose folders nobody came back to."""
    for leftover in parent.glob(f"{_PREFIX}*/{LIFELINE}"):
        with contextlib.suppress(OSError):
            folder = leftover.parent
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            # Not one that is just being made: its lifeline has no reader yet.
            if time.time() - folder.stat().st_mtime > _SWEEP_AGE_S and not _has_reader(leftover):
                shutil.rmtree(folder)


def _has_reader(fifo: Path) -> bool:
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        return error.errno != errno.ENXIO
    return True
