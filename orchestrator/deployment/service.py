"""What keeps the agent running on a board: systemd, the user's own systemd, or a process group of its own."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence

from orchestrator.deployment.board import Board
from orchestrator.deployment.errors import CommandError, UnfitError
from orchestrator.deployment.layout import Layout
from orchestrator.deployment.ports import Remote
from orchestrator.deployment.unit import STOP_TIMEOUT_S, UNIT, Unit, working_directory

_SYSTEMCTL_TIMEOUT_S = STOP_TIMEOUT_S + 30.0
_LOG_LINES = 12
#: The manager of a user is reached through a socket that sessions without PAM do not know.
_USER_BUS = 'XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; export XDG_RUNTIME_DIR; exec "$@"'


class Service(ABC):
    """One way of keeping the agent running on one board.

    Attributes:
        kind: "system", "user" or "process".
        place: what it is, for people.
    """

    kind: str
    place: str
    #: Is it started again when the board is?
    survives_reboot = True

    def __init__(self, remote: Remote, layout: Layout) -> None:
        self._remote = remote
        self._layout = layout

    @abstractmethod
    def text(self, unit: Unit) -> str:
        """What has to stand in its file."""

    @abstractmethod
    def installed(self) -> str:
        """What stands in its file now; empty: there is none."""

    @abstractmethod
    def install(self, text: str) -> None:
        """Write its file, so that it runs at every start of the board."""

    @abstractmethod
    def is_active(self) -> bool:
        """Is it meant to run, and does it?"""

    @abstractmethod
    def start(self) -> None:
        """Start it."""

    @abstractmethod
    def stop(self) -> None:
        """End it, and return when it has ended."""

    @abstractmethod
    def exits(self) -> int:
        """How often the agent has ended by itself since it was started."""

    @abstractmethod
    def log(self) -> list[str]:
        """The last lines that the agent said."""

    @abstractmethod
    def remove(self) -> None:
        """Stop it and leave nothing of it."""


class _Systemd(Service):
    """A unit.

    Attributes:
        path: of its file.
    """

    path: str

    def installed(self) -> str:
        return self._remote.run(["cat", self.path], check=False).stdout

    def is_active(self) -> bool:
        return self._property("ActiveState") in ("active", "activating", "reloading")

    def start(self) -> None:
        self._systemctl("daemon-reload")
        self._systemctl("enable", "--quiet", UNIT)
        self._systemctl("reset-failed", UNIT, check=False)
        self._systemctl("start", UNIT)

    def stop(self) -> None:
        self._systemctl("stop", UNIT)

    def exits(self) -> int:
        count = self._property("NRestarts")
        return int(count) if count.isdecimal() else 0

    def log(self) -> list[str]:
        said = self._journalctl("--unit", UNIT, "--lines", str(_LOG_LINES), "--no-pager", "--output=cat")
        return said.splitlines()

    def remove(self) -> None:
        self._systemctl("disable", "--now", "--quiet", UNIT, check=False)
        self._delete()
        self._systemctl("daemon-reload", check=False)
        self._systemctl("reset-failed", UNIT, check=False)

    def _property(self, name: str) -> str:
        return self._systemctl("show", "--property", name, "--value", UNIT, check=False).strip()

    @abstractmethod
    def _systemctl(self, *words: str, check: bool = True) -> str: ...

    @abstractmethod
    def _journalctl(self, *words: str) -> str: ...

    @abstractmethod
    def _delete(self) -> None: ...


class _System(_Systemd):
    """A unit of the system, run as the user who logged in.

    Args:
        remote: the board.
        layout: its paths.
        sudo: the user is not root, and may become it without a password.
    """

    kind = "system"
    place = f"unit {UNIT.removesuffix('.service')} (system)"

    def __init__(self, remote: Remote, layout: Layout, sudo: bool) -> None:
        super().__init__(remote, layout)
        self._root = ["sudo", "-n"] if sudo else []
        self.path = layout.system_unit

    def text(self, unit: Unit) -> str:
        return unit.system_text()

    def installed(self) -> str:
        text = super().installed()
        return text if working_directory(self._layout) in text.splitlines() else ""

    def install(self, text: str) -> None:
        if super().installed() and not self.installed():
            raise UnfitError(
                f"{self.path} keeps another user's agent running",
                "gauntlet undeploy that one, or say `service: user` in the inventory",
            )
        written = f"{self._layout.data}/{UNIT}"
        self._remote.write(written, text.encode())
        self._remote.run([*self._root, "install", "-m", "644", "-o", "root", "-g", "root", written, self.path])
        self._remote.run(["rm", "-f", written])

    def _delete(self) -> None:
        self._remote.run([*self._root, "rm", "-f", self.path])

    def _systemctl(self, *words: str, check: bool = True) -> str:
        return self._remote.run([*self._root, "systemctl", *words], _SYSTEMCTL_TIMEOUT_S, check=check).stdout

    def _journalctl(self, *words: str) -> str:
        return self._remote.run([*self._root, "journalctl", *words], check=False).stdout


class _User(_Systemd):
    """A unit of the user's own systemd, which is kept running while he is not logged in."""

    kind = "user"
    place = f"unit {UNIT.removesuffix('.service')} (user)"

    def __init__(self, remote: Remote, layout: Layout) -> None:
        super().__init__(remote, layout)
        self.path = layout.user_unit
        self._mark = f"{layout.data}/lingering"

    def text(self, unit: Unit) -> str:
        return unit.user_text()

    def install(self, text: str) -> None:
        self._remote.run(["mkdir", "-p", self.path.rpartition("/")[0]])
        self._remote.write(self.path, text.encode())
        self._linger()

    def remove(self) -> None:
        super().remove()
        if self._remote.run(["test", "-e", self._mark], check=False).status == 0:
            self._remote.run(["loginctl", "disable-linger"], check=False)
            self._remote.run(["rm", "-f", self._mark])

    def _linger(self) -> None:
        """Without it the user's systemd ends with his last session, and the agent with it."""
        shown = 'loginctl show-user "$(id -un)" --property=Linger --value'
        if self._remote.run(["sh", "-c", shown], check=False).stdout.strip() == "yes":
            return
        try:
            self._remote.run(["loginctl", "enable-linger"])
        except CommandError as error:
            raise UnfitError(
                f"the user's services end with his last session: {error.message}",
                f"let an administrator allow it, once: sudo loginctl enable-linger USER, on {self._remote.name}",
            ) from error
        self._remote.write(self._mark, b"")

    def _delete(self) -> None:
        self._remote.run(["rm", "-f", self.path])

    def _systemctl(self, *words: str, check: bool = True) -> str:
        command = ["sh", "-c", _USER_BUS, "sh", "systemctl", "--user", *words]
        what = f"`{shlex.join(command[4:])}`"
        return self._remote.run(command, _SYSTEMCTL_TIMEOUT_S, check=check, what=what).stdout

    def _journalctl(self, *words: str) -> str:
        return self._remote.run(["sh", "-c", _USER_BUS, "sh", "journalctl", "--user", *words], check=False).stdout


class _Process(Service):
    """A script in a session of its own, which starts the agent again when it ends; it does not survive a reboot."""

    kind = "process"
    place = "process gauntlet-agent"
    survives_reboot = False

    def __init__(self, remote: Remote, layout: Layout) -> None:
        super().__init__(remote, layout)
        self._script = f"{layout.data}/run"
        # The number in the file may be another process's by now.
        self._alive = (
            f"alive() {{ pid=$(cat {shlex.quote(layout.data)}/agent.pid 2>/dev/null) && "
            f'tr "\\0" " " 2>/dev/null < "/proc/$pid/cmdline" | grep -qF {shlex.quote(self._script)}; }}\n'
        )

    def text(self, unit: Unit) -> str:
        return unit.script()

    def installed(self) -> str:
        return self._remote.run(["cat", self._script], check=False).stdout

    def install(self, text: str) -> None:
        self._remote.write(self._script, text.encode(), 0o755)

    def is_active(self) -> bool:
        return self._shell("alive", check=False) == 0

    def start(self) -> None:
        self._shell(
            f"setsid sh {shlex.quote(self._script)} </dev/null >/dev/null 2>&1 &\n"
            "for _ in 1 2 3 4 5 6 7 8 9 10; do alive && exit 0; sleep 0.2; done\n"
            "echo 'its script ended at once' >&2; exit 1",
            what="starting the agent",
        )

    def stop(self) -> None:
        # Politely, then its whole group; the workers end with the agent.
        self._shell(
            "alive || exit 0\n"
            "group=$pid\n"
            "ended() { n=0; while alive; do n=$((n+1)); [ $n -lt $1 ] || return 1; sleep 0.1; done; }\n"
            'kill "$group" 2>/dev/null\n'
            f"ended {10 * STOP_TIMEOUT_S} && exit 0\n"
            'kill -s KILL -- "-$group"\n'
            "ended 50",
            _SYSTEMCTL_TIMEOUT_S,
            what="stopping the agent",
        )

    def exits(self) -> int:
        counted = self._remote.run(["wc", "-l", f"{self._layout.data}/exits"], check=False).stdout.split()
        return int(counted[0]) if counted and counted[0].isdecimal() else 0

    def log(self) -> list[str]:
        file = f"{self._layout.data}/agent.log"
        return self._remote.run(["tail", "-n", str(_LOG_LINES), file], check=False).stdout.splitlines()

    def remove(self) -> None:
        self.stop()
        files = [f"{self._layout.data}/{name}" for name in ("run", "agent.pid", "exits", "agent.log", "agent.log.1")]
        self._remote.run(["rm", "-f", *files])

    def _shell(self, script: str, timeout_s: float = 30.0, check: bool = True, what: str = "") -> int:
        return self._remote.run(["sh", "-c", self._alive + script], timeout_s, check=check, what=what).status


def all_services(remote: Remote, layout: Layout, board: Board) -> list[Service]:
    """Every way there is, whether this board has it or not: an earlier deployment may have taken another one."""
    return [_System(remote, layout, board.sudo and not board.root), _User(remote, layout), _Process(remote, layout)]


def choose(wanted: str, services: Sequence[Service], board: Board, name: str) -> Service:
    """The way of keeping the agent running that was asked for, or the one that asks for the fewest rights.

    Args:
        wanted: "auto", "system", "user" or "process".
        services: all of them.
        board: what it can.
        name: of the host.

    Raises:
        UnfitError: the board cannot do it.
    """
    may_system = board.systemd and (board.root or board.sudo)
    if wanted == "auto":
        rootly, user = board.root and may_system, board.user_systemd
        wanted = "system" if rootly else "user" if user else "system" if may_system else "process"
    elif wanted == "system" and not may_system:
        why = "it takes root, or sudo without a password" if board.systemd else "systemd does not run there"
        raise UnfitError(f"{name} cannot have a unit of the system: {why}", "say `service: auto` in the inventory")
    elif wanted == "user" and not board.user_systemd:
        raise UnfitError(
            f"{name} cannot have a unit of the user: the user's systemd does not answer", "say `service: auto` instead"
        )
    if wanted == "process" and "setsid" not in board.programs:
        raise UnfitError(f"{name} has neither systemd nor setsid to keep an agent running", "install util-linux there")
    return next(service for service in services if service.kind == wanted)
