"""One lock for the whole host around timed and energy windows, so that nobody disturbs what is being timed.

flock(2) on one fixed file that every user may open for reading: the kernel lets go of it when the holder dies, however
it dies.

Whoever starts processes or computes beside the agents holds the lock shared meanwhile, again and again. So that a
window need not wait for a moment in which nobody does, its agent says that it wants the lock, by a lock on a second
file, and nobody takes a share then.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Optional

#: Set it to one path for all agents of a host where /tmp is private to each of them.
PATH_VARIABLE = "GAUNTLET_HOST_LOCK"
DEFAULT_PATH = Path("/tmp/gauntlet-host.lock")  # noqa: S108  # opened without following links, never written to


def lock_path() -> Path:
    """Where this host's lock lies."""
    return Path(os.environ.get(PATH_VARIABLE) or DEFAULT_PATH)


class HostLock:
    """The lock, not held at first. One object belongs to one thread.

    Args:
        path: the file; made when absent.
    """

    def __init__(self, path: Optional[Path] = None) -> None:
        self._path = path or lock_path()
        self._fd: Optional[int] = None
        self._wish: Optional[int] = None

    @property
    def held(self) -> bool:
        """Does this object hold it?"""
        return self._fd is not None

    def try_acquire(self, shared: bool = False) -> bool:
        """Take it if it is free. A share is not free while somebody wants the whole.

        Raises:
            OSError: the file cannot be opened or made.
        """
        if shared and self._fd is None and self._is_wanted():
            return False
        while self._fd is None:
            fd = _open(self._path)
            if not _locked(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
                os.close(fd)
                return False
            if self._is_current(fd):
                self._fd = fd
            else:
                # Somebody who cleans /tmp removed the file: a lock on it excludes nobody.
                os.close(fd)
        return True

    def release(self) -> None:
        """Let go of it, if held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def want(self, wanted: bool) -> None:
        """Let others take no share of it, or let them again. Who wants it takes it as soon as the last share is given
        back.

        Raises:
            OSError: the second file cannot be opened or made.
        """
        if not wanted and self._wish is not None:
            os.close(self._wish)
            self._wish = None
        elif wanted and self._wish is None:
            fd = _open(self._wishes)
            if _locked(fd, fcntl.LOCK_SH):
                self._wish = fd
            else:
                os.close(fd)  # somebody looks just now: say it again

    def holder(self) -> Optional[int]:
        """Id of a process that holds it, as far as this one may know."""
        try:
            place = os.stat(self._path)
            locks = Path("/proc/locks").read_text().splitlines()
        except OSError:
            return None
        # proc(5): "1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF", the device in hexadecimal.
        inode = f"{os.major(place.st_dev):02x}:{os.minor(place.st_dev):02x}:{place.st_ino}"
        for line in locks:
            fields = line.split()
            if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5] == inode and int(fields[4]) > 0:
                return int(fields[4])
        return None

    @property
    def _wishes(self) -> Path:
        return self._path.with_name(f"{self._path.name}.wanted")

    def _is_wanted(self) -> bool:
        fd = _open(self._wishes)
        free = _locked(fd, fcntl.LOCK_EX)
        os.close(fd)
        return not free

    def _is_current(self, fd: int) -> bool:
        try:
            there, mine = os.stat(self._path), os.fstat(fd)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _open(path: Path) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        try:
            # Without O_CREAT: the kernel refuses it for other users' files in /tmp (fs.protected_regular).
            return os.open(path, flags)
        except FileNotFoundError:
            pass
        try:
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            continue
        os.fchmod(fd, 0o644)
        return fd


def _locked(fd: int, kind: int) -> bool:
    """Lock an open file if nobody is in the way.

    Raises:
        OSError: it cannot be locked at all; it is closed then.
    """
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EINTR):
            return False
        os.close(fd)
        raise
    return True
