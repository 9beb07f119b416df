"""What is installed on a board: a folder a release, and a link to the one in use.

A release is a virtual environment, made by hand after PEP 405: two links and a line of text, for Debian ships the
module that makes them without what that needs. pip comes along as a wheel, which runs unpacked or not. The folder has
its final name from the start, since scripts in it begin with its path; until `complete` is there it counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.deployment.layout import Layout
from orchestrator.deployment.ports import Remote
from orchestrator.deployment.processes import end_processes
from orchestrator.deployment.wheelhouse import INSTALLER, Wheel

#: A board with a slow card takes minutes to unpack 150 MB.
_INSTALL_TIMEOUT_S = 1200.0
_TRY_TIMEOUT_S = 180.0
_READ = """
cd "$1" 2>/dev/null || exit 0
echo "current $(readlink current | sed 's,.*/,,')"
for release in releases/*/complete; do
  [ -f "$release" ] && echo "release $(basename "$(dirname "$release")")"
done
exit 0
"""
_INSTALL = """
set -eu
release=$1 python=$2 pip=$3; shift 3
rm -rf "$release"
trap 'rm -rf "$release"' EXIT
"$python" -I - "$release" <<'END'
import os, sys
# The Python itself, where this one is of a virtual environment.
release, python = sys.argv[1], getattr(sys, "_base_executable", sys.executable)
for folder in ("bin", "lib/python%d.%d/site-packages" % sys.version_info[:2]):
    os.makedirs(os.path.join(release, folder))
os.symlink("lib", os.path.join(release, "lib64"))
os.symlink(python, os.path.join(release, "bin", "python"))
with open(os.path.join(release, "pyvenv.cfg"), "w") as file:
    file.write("home = %s\\ninclude-system-site-packages = false\\n" % os.path.dirname(python))
END
"$release/bin/python" -I "$pip/pip" install --quiet --no-index --no-cache-dir --no-compile --no-input \\
  --disable-pip-version-check --no-warn-script-location --root-user-action=ignore "$@"
trap - EXIT
"""
# What the agent loads, so that a library that does not fit this board is found out now. It is also compiled now: a
# hardened service may not write here.
_TRY = """
set -eu
trap 'rm -rf "$1"' EXIT
"$1/bin/python" -I -c '
import sys
import device_agent.service, device_agent.worker.__main__
from device_agent.cli import main
sys.exit(main(["doctor", "--json", "--state-dir", sys.argv[1]]))
' "$2" >/dev/null
printf '%s\\n' "$3" > "$1/complete"
trap - EXIT
"""
_SWITCH = 'ln -sfn "releases/$2" "$1/current.new" && mv -fT "$1/current.new" "$1/current"'
_PRUNE = """
cd "$1" || exit 0
keep=" $2 "
for path in releases/* wheels/*; do
  case "$keep" in *" ${path##*/} "*) ;; *) rm -rf "$path" ;; esac
done
for path in pythons/*; do
  grep -qsF "/$path/" releases/*/pyvenv.cfg || rm -rf "$path"
done
"""


@dataclass(frozen=True)
class Installed:
    """What is on a board.

    Attributes:
        current: name of the release in use; empty: none.
        complete: names of those that are whole.
    """

    current: str
    complete: frozenset[str]


def release_name(wheels: Sequence[Wheel], python: str) -> str:
    """Of the release that these wheels make with this Python: the same for the same, and for nothing else."""
    [own] = [wheel for wheel in wheels if wheel.name == "gauntlet"]
    content = json.dumps([python, *sorted(wheel.digest for wheel in wheels)])
    return f"{own.version}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


class Releases:
    """The releases of one board.

    Args:
        remote: the board.
        layout: its paths.
    """

    def __init__(self, remote: Remote, layout: Layout) -> None:
        self._remote = remote
        self._layout = layout

    def read(self) -> Installed:
        """What is there now."""
        lines = self._shell("looking for releases", _READ, self._layout.data).splitlines()
        words = [line.split() for line in lines]
        current = [pair[1] for pair in words if len(pair) == 2 and pair[0] == "current"]
        complete = frozenset(pair[1] for pair in words if len(pair) == 2 and pair[0] == "release")
        return Installed(current[0] if current and current[0] in complete else "", complete)

    def lacking(self, wheels: Sequence[Wheel]) -> list[Wheel]:
        """Which of these the board does not have, or has damaged."""
        script = 'cd "$1" 2>/dev/null || exit 0; sha256sum -- */*.whl 2>/dev/null; exit 0'
        there = set()
        listing = self._shell("looking for wheels", script, self._layout.wheels, timeout_s=_TRY_TIMEOUT_S)
        for line in listing.splitlines():
            digest, _, path = line.partition("  ")
            there.add((digest, path))
        return [wheel for wheel in wheels if (wheel.digest, self._place(wheel)) not in there]

    def copy(self, wheels: Sequence[Wheel], told: Callable[[int, int], None]) -> None:
        """Send wheels.

        Args:
            wheels: to send.
            told: called with how many wheels and bytes are there.
        """
        folders = [f"{self._layout.wheels}/{self._place(wheel).rpartition('/')[0]}" for wheel in wheels]
        self._remote.run(["mkdir", "-p", *folders], what="making folders")
        there = sent = 0

        def more(count: int) -> None:
            nonlocal sent
            sent += count
            told(there, sent)

        for wheel in wheels:
            self._remote.put(wheel.path, f"{self._layout.wheels}/{self._place(wheel)}", more)
            there += 1

    def install(self, name: str, python: str, wheels: Sequence[Wheel]) -> None:
        """Make a release of wheels that are there, and try it.

        Raises:
            DeploymentError: it cannot be installed, or does not run on this board.
        """
        release = f"{self._layout.releases}/{name}"
        paths = {wheel.name: f"{self._layout.wheels}/{self._place(wheel)}" for wheel in wheels}
        pip = paths.pop(INSTALLER)
        # An installation that was cut off goes on, and somebody else's is ended. What fails removes on the board what
        # it made, before it has ended: later that would be another's.
        end_processes(self._remote, release)
        what = f"installing {name}"
        self._shell(what, _INSTALL, release, python, pip, *paths.values(), timeout_s=_INSTALL_TIMEOUT_S)
        description = json.dumps({"python": python, "wheels": sorted(wheel.path.name for wheel in wheels)})
        what = f"trying {name} there"
        self._shell(what, _TRY, release, self._layout.state, description, timeout_s=_TRY_TIMEOUT_S)

    def switch(self, name: str) -> None:
        """Use this one from now on, in one step."""
        self._shell(f"switching to {name}", _SWITCH, self._layout.data, name)

    def prune(self, keep: Sequence[str], wheels: Sequence[Wheel]) -> None:
        """Remove releases but these, wheels but these, and Pythons that no release runs on."""
        names = [*keep, *(wheel.digest[:16] for wheel in wheels)]
        self._shell("removing old releases", _PRUNE, self._layout.data, " ".join(names), timeout_s=_TRY_TIMEOUT_S)

    @staticmethod
    def _place(wheel: Wheel) -> str:
        """By digest: wheels of one version differ where people work on them."""
        return f"{wheel.digest[:16]}/{wheel.path.name}"

    def _shell(self, what: str, script: str, *arguments: str, timeout_s: float = 30.0) -> str:
        return self._remote.run(["sh", "-c", script, "sh", *arguments], timeout_s, what=what).stdout
