"""What keeps an agent running on a board: which way is chosen, and what is asked of systemd.

systemd itself cannot be had here, where it is not process 1: a recorded `systemctl` and `loginctl` answer on the board,
and write down what they were asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.deployment.board import Board, look
from orchestrator.deployment.errors import UnfitError
from orchestrator.deployment.layout import Layout
from orchestrator.deployment.ports import Remote
from orchestrator.deployment.service import Service, all_services, choose
from orchestrator.deployment.unit import Unit
from tests.orchestrator.deployment.sshd import Sshd, needs_sshd

pytestmark = needs_sshd

_FAKE = """#!/bin/sh
state={state}
echo "{name} $*" >> "$state/asked"
[ ! -e "$state/refuse-{name}" ] || {{ echo "Failed: Interactive authentication required." >&2; exit 1; }}
case "{name} $*" in
  *ActiveState*) [ -e "$state/active" ] && echo active || echo inactive ;;
  *NRestarts*) cat "$state/restarts" 2>/dev/null || echo 0 ;;
  *" start "*) : > "$state/active" ;;
  *" stop "*|*"disable --now"*) rm -f "$state/active" ;;
  *Linger*) [ -e "$state/linger" ] && echo yes || echo no ;;
  *enable-linger*) : > "$state/linger" ;;
  *disable-linger*) rm -f "$state/linger" ;;
  journalctl*) echo "error: it said so" ;;
  "sudo -n "*) shift; exec "$@" ;;
esac
exit 0
"""


class Systemd:
    """The recorded systemd of a board."""

    def __init__(self, board: Sshd) -> None:
        self.folder = board.home.parent / "systemd"
        self.folder.mkdir()
        for name in ("systemctl", "loginctl", "journalctl", "sudo"):
            fake = self.folder / name
            fake.write_text(_FAKE.format(state=self.folder, name=name))
            fake.chmod(0o755)
        board.profile(f"PATH={self.folder}:$PATH")

    def asked(self) -> list[str]:
        """What, since the last time; questions left out."""
        file = self.folder / "asked"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [line for line in lines if " show" not in line]

    def refuse(self, name: str) -> None:
        """From now on this program fails."""
        (self.folder / f"refuse-{name}").touch()


@pytest.fixture
def board(remote: Remote) -> Board:
    """This machine, as if it were one that was booted with systemd."""
    found = look(remote)
    programs = found.programs | {"setsid"}
    return replace(found, systemd=True, user_systemd=True, root=False, sudo=False, programs=programs)


@pytest.fixture
def make(remote: Remote, board: Board) -> Callable[..., Service]:
    """The service that is chosen on a board."""

    def made(wanted: str = "auto", **facts: object) -> Service:
        there = replace(board, **facts)  # type: ignore[arg-type]
        return choose(wanted, all_services(remote, Layout(board.home), there), there, "pi4")

    return made


@pytest.mark.parametrize(
    ("wanted", "facts", "kind"),
    [
        ("auto", {"root": True}, "system"),
        ("auto", {}, "user"),
        ("auto", {"sudo": True}, "user"),
        ("auto", {"sudo": True, "user_systemd": False}, "system"),
        ("auto", {"user_systemd": False}, "process"),
        ("auto", {"root": True, "systemd": False, "user_systemd": False}, "process"),
        ("system", {"sudo": True}, "system"),
        ("user", {"root": True}, "user"),
        ("process", {"root": True}, "process"),
    ],
)
def test_the_way_with_the_fewest_rights_is_chosen_or_the_one_that_was_asked_for(
    make: Callable[..., Service], wanted: str, facts: dict[str, bool], kind: str
) -> None:
    assert make(wanted, **facts).kind == kind


@pytest.mark.parametrize(
    ("wanted", "facts", "message"),
    [
        ("system", {}, "it takes root, or sudo without a password"),
        ("system", {"systemd": False, "root": True}, "systemd does not run there"),
        ("user", {"user_systemd": False}, "the user's systemd does not answer"),
        ("process", {"programs": frozenset()}, "neither systemd nor setsid"),
    ],
)
def test_what_a_board_cannot_do_is_said(
    make: Callable[..., Service], wanted: str, facts: dict[str, object], message: str
) -> None:
    with pytest.raises(UnfitError, match=message) as raised:
        make(wanted, **facts)
    assert raised.value.remedy


def test_a_unit_of_the_user_comes_and_goes_with_the_lingering_that_it_needs(
    sshd: Sshd, make: Callable[..., Service], remote: Remote
) -> None:
    systemd, layout = Systemd(sshd), Layout(sshd.home_there)
    service = make("user")
    text = service.text(Unit("pi4", layout))
    remote.run(["mkdir", "-p", layout.data])
    assert service.installed() == ""
    service.install(text)
    assert service.installed() == text
    assert systemd.asked() == ["loginctl enable-linger"]
    service.start()
    assert service.is_active()
    assert systemd.asked() == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --quiet gauntlet-agent.service",
        "systemctl --user reset-failed gauntlet-agent.service",
        "systemctl --user start gauntlet-agent.service",
    ]
    (systemd.folder / "restarts").write_text("3\n")
    assert service.exits() == 3
    assert service.log() == ["error: it said so"]
    systemd.asked()
    service.remove()
    assert not service.is_active()
    assert service.installed() == ""
    assert systemd.asked() == [
        "systemctl --user disable --now --quiet gauntlet-agent.service",
        "systemctl --user daemon-reload",
        "systemctl --user reset-failed gauntlet-agent.service",
        "loginctl disable-linger",
    ]


def test_lingering_that_was_there_before_stays(sshd: Sshd, make: Callable[..., Service], remote: Remote) -> None:
    systemd, layout = Systemd(sshd), Layout(sshd.home_there)
    (systemd.folder / "linger").touch()
    service = make("user")
    remote.run(["mkdir", "-p", layout.data])
    service.install(service.text(Unit("pi4", layout)))
    service.remove()
    assert not [line for line in systemd.asked() if line.startswith("loginctl")]


def test_lingering_that_is_refused_ends_with_what_an_administrator_can_do(
    sshd: Sshd, make: Callable[..., Service], remote: Remote
) -> None:
    systemd, layout = Systemd(sshd), Layout(sshd.home_there)
    systemd.refuse("loginctl")
    service = make("user")
    remote.run(["mkdir", "-p", layout.data])
    with pytest.raises(UnfitError, match="Interactive authentication required") as raised:
        service.install(service.text(Unit("pi4", layout)))
    assert "sudo loginctl enable-linger" in raised.value.remedy


def test_a_unit_of_the_system_is_asked_for_with_sudo(sshd: Sshd, make: Callable[..., Service]) -> None:
    systemd = Systemd(sshd)
    service = make("system", sudo=True)
    service.start()
    assert "sudo -n systemctl start gauntlet-agent.service" in systemd.asked()
    root = make("system", root=True, sudo=True)
    root.stop()
    assert systemd.asked() == ["systemctl stop gauntlet-agent.service"]


@pytest.mark.slow
def test_a_process_ends_politely_and_with_force(
    sshd: Sshd, make: Callable[..., Service], remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(sshd.home_there)
    python = sshd.home / ".local/share/gauntlet/current/bin/python"
    python.parent.mkdir(parents=True)
    service = make("process")
    assert not service.is_active()

    python.write_text('#!/bin/sh\ntrap "echo bye; exit 0" TERM\necho hello\nwhile :; do sleep 0.1; done\n')
    python.chmod(0o755)
    service.install(service.text(Unit("pi4", layout)))
    service.start()
    assert service.is_active()
    service.stop()
    assert not service.is_active()
    assert service.log()[-1] == "bye"
    assert service.exits() == 1

    monkeypatch.setattr("orchestrator.deployment.service.STOP_TIMEOUT_S", 1)
    python.write_text('#!/bin/sh\ntrap "" TERM\necho deaf\nwhile :; do sleep 0.1; done\n')
    service.start()
    while "deaf" not in service.log():
        pass
    service.stop()
    assert not service.is_active()
    assert not [process for process in sshd.leftovers() if str(python) in process.cmdline()]
    service.remove()
    assert not [path.name for path in (sshd.home / ".local/share/gauntlet").iterdir() if path.name != "current"]


def test_the_number_of_another_process_is_not_taken_for_the_agents(sshd: Sshd, make: Callable[..., Service]) -> None:
    data = sshd.home / ".local/share/gauntlet"
    data.mkdir(parents=True)
    (data / "agent.pid").write_text("1\n")
    service = make("process")
    assert not service.is_active()
    service.stop()


def test_a_unit_of_the_system_is_ours_by_its_folder_and_by_nothing_that_looks_like_it(
    remote: Remote, board: Board, tmp_path: Path
) -> None:
    def there(home: str) -> Service:
        service = all_services(remote, Layout(home), board)[0]
        service.path = str(tmp_path / "unit")  # type: ignore[attr-defined]
        return service

    home = "/home/ann 100%"
    text = Unit("pi4", Layout(home), user="ann").system_text()
    (tmp_path / "unit").write_text(text)
    assert there(home).installed() == text
    assert there("/home/bob").installed() == ""
    (tmp_path / "unit").write_text(Unit("pi4", Layout(f"/srv{home}")).system_text())
    assert there(home).installed() == ""
