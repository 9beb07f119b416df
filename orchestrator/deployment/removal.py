"""Back from a running, enrolled agent to a host on which nothing is left of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from orchestrator.deployment.board import look
from orchestrator.deployment.errors import DeploymentError
from orchestrator.deployment.hosts import Host
from orchestrator.deployment.lab import LabSide
from orchestrator.deployment.layout import Layout
from orchestrator.deployment.ports import Remote
from orchestrator.deployment.processes import end_processes
from orchestrator.deployment.service import all_services
from orchestrator.deployment.steps import Observer
from orchestrator.deployment.task import Connect, Task

_REMOVE_TIMEOUT_S = 180.0
# The folders above are others', too, unless they are empty now.
_REMOVE = """
rm -rf -- "$1" "$2" || exit
cd "$3" && rmdir .local/state/gauntlet .local/state .local/share .local 2>/dev/null
exit 0
"""


class Removal(Task):
    """The end of the deployment of one host, however far it went.

    Args:
        host: to remove it from.
        connect: reaches it.
        lab: that it joined; None: its certificate is left as it is.
        dry_run: change nothing.
        observer: is told what happens.
        stop: set: end at the next step.
    """

    def __init__(
        self,
        host: Host,
        connect: Connect,
        lab: LabSide | None,
        dry_run: bool,
        observer: Observer,
        stop: threading.Event,
    ) -> None:
        super().__init__(host, connect, observer, stop)
        self._lab = lab
        self._dry_run = dry_run

    def _check(self) -> None:
        """Nothing that can be known before."""

    def _carry_out(self, remote: Remote) -> None:
        with self._journal.step("look") as note:
            board = look(remote)
            note.found(board.summary)
            board.check_home()
        layout = Layout(board.home)
        with self._journal.step("service") as note:
            present = [one for one in all_services(remote, layout, board) if one.installed()]
            names = ", ".join(one.place for one in present)
            if self._dry_run and present:
                note.would(f"stop and remove {names}")
            elif present:
                for one in present:
                    one.remove()
                note.did(f"removed {names}")
        with self._journal.step("files") as note:
            there = self._there(remote, layout)
            if not self._dry_run:
                end_processes(remote, f"{layout.data}/")
            if self._dry_run and there:
                note.would(f"remove {_short(there, layout)}")
            elif there:
                command = ["sh", "-c", _REMOVE, "sh", layout.data, layout.state, layout.home]
                remote.run(command, _REMOVE_TIMEOUT_S, what="removing its folders")
                note.did(f"removed {_short(there, layout)}")
        self._revoke()
        if not self._dry_run:
            self._make_sure(remote, layout)

    def _there(self, remote: Remote, layout: Layout) -> list[str]:
        folders = (layout.data, layout.state)
        return [path for path in folders if remote.run(["test", "-e", path], check=False).status == 0]

    def _revoke(self) -> None:
        with self._journal.step("certificate") as note:
            if self._lab is None:
                self._journal.warnings.append(
                    "no lab was named: the certificate stays good until it expires (`gauntlet lab revoke` ends it)"
                )
            elif self._dry_run:
                note.would(f"revoke it in {self._lab.address}")
            elif self._lab.revoke(self._host.name):
                note.did("certificate revoked")

    def _make_sure(self, remote: Remote, layout: Layout) -> None:
        with self._journal.step("gone"):
            if left := self._there(remote, layout):
                raise DeploymentError(
                    f"{_short(left, layout)} came back on {self._host.name}", "is an agent started there by hand?"
                )


def _short(paths: Sequence[str], layout: Layout) -> str:
    return ", ".join(path.replace(layout.home, "~", 1) for path in paths)
