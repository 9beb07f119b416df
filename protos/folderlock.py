"""One process owns a folder of state at a time; the lock ends with the process, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO


class FolderInUseError(Exception):
    """Another process owns the folder.

    Attributes:
        owner: its process id as text, or "unknown".
    """

    def __init__(self, owner: str) -> None:
        super().__init__(f"in use by process {owner}")
        self.owner = owner


def own(lock: Path) -> IO[str]:
    """Take the lock; close the file to let go of it.

    Args:
        lock: the lock file; made when absent, and left behind with the owner's process id.

    Raises:
        FolderInUseError: another process holds it.
        OSError: the file cannot be opened or written.
    """
    file = lock.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise FolderInUseError(owner) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
