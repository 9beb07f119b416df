"""A Python that is brought to a board whose own is too old, or missing.

No package of the Python index carries one that is kept up for Arm and x86 alike (looked for in November 2026), so it is
a file that the user names: an archive that holds `bin/python3`, such as `install_only` of python-build-standalone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from orchestrator.deployment.board import OLDEST_PYTHON
from orchestrator.deployment.errors import CommandError, DeploymentError, UnfitError
from orchestrator.deployment.layout import Layout
from orchestrator.deployment.ports import Remote
from protos.contract import digest_of_file

_UNPACK_TIMEOUT_S = 300.0
_FIND = """
for path in "$1"/bin/python3 "$1"/*/bin/python3; do [ -x "$path" ] && echo "$path" && exit 0; done
exit 1
"""
_UNPACK = """
set -eu
rm -rf "$1.new"
mkdir -p "$1.new"
# -o: ours, also for root, and not whosever number stands in the archive.
tar -xzof "$1.tar.gz" -C "$1.new" || { rm -rf "$1.new" "$1.tar.gz"; exit 1; }
rm -f "$1.tar.gz"
rm -rf "$1"
mv "$1.new" "$1"
"""


class StandalonePython:
    """A Python in a file here, for one board.

    Args:
        remote: the board.
        layout: its paths.
        archive: the file.

    Raises:
        DeploymentError: it cannot be read.
    """

    def __init__(self, remote: Remote, layout: Layout, archive: Path) -> None:
        self._remote = remote
        self._archive = archive
        try:
            self._folder = f"{layout.pythons}/{digest_of_file(archive)[:16]}"
        except OSError as error:
            raise DeploymentError(
                f"cannot read {archive}: {error.strerror}", "name an archive of a Python: --python FILE.tar.gz"
            ) from error

    def path(self) -> str:
        """Of its interpreter on the board; empty: it is not there."""
        return self._remote.run(["sh", "-c", _FIND, "sh", self._folder], check=False).stdout.strip()

    def bring(self, told: Callable[[int], None]) -> str:
        """Send and unpack it.

        Args:
            told: called with how many bytes are there.

        Returns:
            Path of its interpreter.

        Raises:
            UnfitError: it is no archive of a Python.
        """
        self._remote.run(["mkdir", "-p", self._folder.rpartition("/")[0]])
        sent = 0

        def more(count: int) -> None:
            nonlocal sent
            sent += count
            told(sent)

        self._remote.put(self._archive, f"{self._folder}.tar.gz", more)
        try:
            what = f"unpacking {self._archive.name}"
            self._remote.run(["sh", "-c", _UNPACK, "sh", self._folder], _UNPACK_TIMEOUT_S, what=what)
        except CommandError as error:
            raise UnfitError(error.message, "name a .tar.gz that holds a Python for this board") from error
        path = self.path()
        if not path:
            self._remote.run(["rm", "-rf", self._folder], check=False)
            raise UnfitError(
                f"{self._archive} holds no bin/python3", "name an install_only archive of python-build-standalone"
            )
        return path


def version_of(remote: Remote, python: str, what: str) -> tuple[int, int]:
    """Major and minor version of a Python, by running it.

    Args:
        remote: the board.
        python: path on it.
        what: to call it in an error.

    Raises:
        UnfitError: it does not run there, or is too old.
    """
    ask = "import sys; print(sys.implementation.name, *sys.version_info[:2])"
    done = remote.run([python, "-I", "-c", ask], check=False)
    # The tags of wheels are counted up to the minor version: no board makes that long.
    said_version = re.fullmatch(r"cpython ([0-9]) ([0-9]{1,2})\n", done.stdout)
    if done.status or not said_version:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise UnfitError(
            f"{what} does not run on {remote.name}: {said}", "name one for its architecture: --python FILE.tar.gz"
        )
    version = int(said_version[1]), int(said_version[2])
    if version < OLDEST_PYTHON:
        raise UnfitError(
            f"{what} is Python {version[0]}.{version[1]}", "name one of 3.9 or later: --python FILE.tar.gz"
        )
    return version
