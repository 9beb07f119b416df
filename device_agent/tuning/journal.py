"""What was there before, on disk before anything is changed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import List, Optional, Sequence

from device_agent.tuning.system import read

_VERSION = 1


@dataclass(frozen=True)
class Change:
    """One value that is changed and put back.

    Attributes:
        control: "governor", "clock_limits", "power_mode" or "jetson_clocks".
        target: a path below the root, without its leading slash; or the command that sets it.
        found: the value before. For jetson_clocks the file in which it keeps what it found.
        wanted: the value for the window.
    """

    control: str
    target: str
    found: str
    wanted: str

    @property
    def is_file(self) -> bool:
        """A file of the kernel, whose value ends with the boot; what a command sets may outlive it."""
        return self.target.startswith("sys/")


class DamagedJournalError(Exception):
    """The journal cannot be read; the message says where it is and what that means."""


class Journal:
    """A file that exists exactly while something is, or may be, changed. It appears and changes whole or not at all.

    Args:
        path: the file; its folder exists.
        root: of the file system, or of a made-up one.
    """

    def __init__(self, path: Path, root: Path = Path("/")) -> None:
        self.path = path
        self._root = root

    def write(self, changes: Sequence[Change]) -> None:
        """Keep the changes; returns once they are on the disk.

        Raises:
            OSError: they are not.
        """
        document = {"version": _VERSION, "boot_id": self._boot_id(), "changes": [asdict(change) for change in changes]}
        temporary = self.path.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)
        self._sync_folder()

    def read(self) -> List[Change]:
        """What has to be put back, in the order in which it was changed; empty without a journal.

        Values of kernel files that an earlier boot had are left out: they ended with that boot.

        Raises:
            DamagedJournalError: there is one, and it cannot be read.
        """
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            if document["version"] != _VERSION:
                raise ValueError(f"version {document['version']}")
            changes = [Change(**entry) for entry in document["changes"]]
            boot_id = document["boot_id"]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DamagedJournalError(
                f"{self.path} says what to restore and cannot be read: {error!r}; reboot the machine, or look at its "
                "governor and clocks yourself, then remove the file"
            ) from error
        same_boot = boot_id == self._boot_id()
        return [change for change in changes if same_boot or not change.is_file]

    def clear(self) -> None:
        """All is as it was."""
        self.path.unlink(missing_ok=True)
        self._sync_folder()

    def _boot_id(self) -> Optional[str]:
        return read(self._root / "proc/sys/kernel/random/boot_id")

    def _sync_folder(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
