"""From a host to a running, enrolled agent, step by step, and back when the new one does not come up.

    connect ─▶ look ─▶ python ─▶ wheels ─▶ copy ─▶ install ─▶ enrol ─▶ service ─▶ online
                                                    beside     agent    stop, switch,  │
                                                    the old    stopped  start          ▼
                                                                              not within its time:
                                                                              switch back, start the old one

Each step first looks whether there is anything to do, so that a second run changes nothing, and one after an
interruption does what is left.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from orchestrator.client import ClientError
from orchestrator.deployment.board import Board, look
from orchestrator.deployment.enrolment import Enrolment
from orchestrator.deployment.errors import DeploymentError
from orchestrator.deployment.hosts import Host
from orchestrator.deployment.lab import LabSide
from orchestrator.deployment.layout import Layout
from orchestrator.deployment.ports import Remote
from orchestrator.deployment.release import Installed, Releases, release_name
from orchestrator.deployment.service import Service, all_services, choose
from orchestrator.deployment.standalone import StandalonePython, version_of
from orchestrator.deployment.steps import AgentDownError, Note, Observer
from orchestrator.deployment.target import Target
from orchestrator.deployment.task import Connect, Task
from orchestrator.deployment.unit import Unit, may_filter
from orchestrator.deployment.wheelhouse import Wheel, Wheelhouses, amount
from protos import addresses

#: Bytes on disk of a byte of a wheel: unpacked and compiled. Measured: 56 MB make 158 MB and, all compiled, 185 MB.
_UNPACKED = 3.5
_ONLINE_TIMEOUT_S = 90.0
#: A lost agent is noticed after 15 s.
_GONE_TIMEOUT_S = 25.0
_POLL_S = 0.2
_ASK_BOARD_EVERY_S = 1.0
_ENOUGH_EXITS = 2


@dataclass(frozen=True)
class Options:
    """What holds for all hosts.

    Attributes:
        dry_run: change nothing on any host.
        python: a standalone Python for hosts that have none and name none; None: such a host is refused.
        online_timeout_s: how long a new agent may take to connect.
    """

    dry_run: bool = False
    python: Path | None = None
    online_timeout_s: float = _ONLINE_TIMEOUT_S


@dataclass(frozen=True)
class _Board:
    """A board at hand.

    Attributes:
        remote: reaches it.
        facts: what it is.
        layout: its paths.
        services: the ways of keeping an agent running there.
        chosen: the one that is wanted.
        releases: what is installed.
        there: that is there at the beginning.
    """

    remote: Remote
    facts: Board
    layout: Layout
    services: list[Service]
    chosen: Service
    releases: Releases
    there: Installed


@dataclass(frozen=True)
class _Before:
    """What ran before, to go back to.

    Attributes:
        release: its name; empty: none.
        service: that kept it running.
        text: of that.
    """

    release: str
    service: Service
    text: str


class Rollout(Task):
    """The deployment of one host.

    Args:
        host: to deploy to.
        connect: reaches it.
        lab: that it joins.
        wheelhouses: what it is given.
        options: of all hosts.
        observer: is told what happens.
        stop: set: end at the next step.
    """

    def __init__(
        self,
        host: Host,
        connect: Connect,
        lab: LabSide,
        wheelhouses: Wheelhouses,
        options: Options,
        observer: Observer,
        stop: threading.Event,
    ) -> None:
        super().__init__(host, connect, observer, stop)
        self._lab = lab
        self._wheelhouses = wheelhouses
        self._options = options

    def _check(self) -> None:
        self._lab.check_reachable_from(self._host)

    def _carry_out(self, remote: Remote) -> None:
        board = self._look(remote)
        python, target = self._python(board)
        wheels = self._wheels(target)
        name = release_name(wheels, python) if wheels else ""
        self._copy(board, name, wheels)
        self._install(board, name, python, wheels)
        joined = self._enrol(board, python, name)
        before = self._serve(board, name, joined)
        self._await(board, name, before)
        if before is not None:
            board.releases.prune([name, before.release], wheels)

    # ------------------------------------------------------------------------------------------------ the steps

    def _look(self, remote: Remote) -> _Board:
        with self._journal.step("look") as note:
            facts = look(remote)
            facts.check(needed_bytes=0)
            self._journal.warnings += facts.warnings()
            note.found(facts.summary)
            layout = Layout(facts.home)
            releases = Releases(remote, layout)
            services = all_services(remote, layout, facts)
            chosen = choose(self._host.service, services, facts, self._host.name)
            return _Board(remote, facts, layout, services, chosen, releases, releases.read())

    def _python(self, board: _Board) -> tuple[str, Target | None]:
        """Path of the Python to use, and what wheels have to fit; nothing in a dry run that would bring one."""
        own = board.facts.python
        archive = self._host.python or (None if own else self._options.python)
        with self._journal.step("python") as note:
            if archive is not None:
                python, what = self._brought(board, archive, note), archive.name
                if not python:
                    return "", None
            elif own is not None:
                python, what = own.path, own.path
            else:
                raise board.facts.no_python()
            version = version_of(board.remote, python, what)
            note.detail = f"Python {version[0]}.{version[1]}" + (f" of {archive.name}" if archive else "")
            Enrolment(board.remote, board.layout, python).check_way(*addresses.split(self._lab.address))
        assert board.facts.glibc is not None  # or it would have been refused
        return python, Target(board.facts.machine, version, board.facts.glibc)

    def _brought(self, board: _Board, archive: Path, note: Note) -> str:
        standalone = StandalonePython(board.remote, board.layout, archive)
        if path := standalone.path():
            return path
        if self._options.dry_run:
            note.would(f"send and unpack {archive.name}")
            return ""
        size = archive.stat().st_size
        board.facts.check(int(_UNPACKED * size))
        path = standalone.bring(lambda sent: self._told(f"{archive.name}, {sent / max(1, size):.0%}"))
        note.did("")
        return path

    def _wheels(self, target: Target | None) -> list[Wheel]:
        with self._journal.step("wheels") as note:
            if target is None or (self._options.dry_run and not self._wheelhouses.is_ready(target)):
                note.would(f"collect those for {target or 'that Python'}")
                return []
            ready = self._wheelhouses.is_ready(target)
            self._told(f"{'' if ready else 'collecting '}those for {target}")
            wheels = self._wheelhouses.wheels(target)
            (note.found if ready else note.did)(amount(wheels))
        return wheels

    def _copy(self, board: _Board, name: str, wheels: list[Wheel]) -> None:
        with self._journal.step("copy") as note:
            if name in board.there.complete:
                return
            lacking = board.releases.lacking(wheels)
            total = sum(wheel.size_bytes for wheel in lacking)
            board.facts.check(total + int(_UNPACKED * sum(wheel.size_bytes for wheel in wheels)))
            if self._options.dry_run:
                note.would(f"send {amount(lacking) if wheels else 'them'}")
            elif lacking:
                board.releases.copy(
                    lacking, lambda count, sent: self._told(f"{count}/{len(lacking)} wheels, {sent / total:.0%}")
                )
                note.did(amount(lacking))

    def _install(self, board: _Board, name: str, python: str, wheels: list[Wheel]) -> None:
        with self._journal.step("install") as note:
            if name in board.there.complete:
                note.found(name)
            elif self._options.dry_run:
                note.would(f"make release {name}" if name else "make a release of them")
            else:
                self._told(amount(wheels))
                board.releases.install(name, python, wheels)
                note.did(name)

    def _enrol(self, board: _Board, python: str, name: str) -> bool:
        """Whether it joined now."""
        with self._journal.step("enrol") as note:
            enrolment = Enrolment(board.remote, board.layout, python)
            flaw = self._lab.flaw(self._host.name, enrolment.read() if python else None)
            if not flaw:
                note.found(f"in {self._lab.address}")
            elif self._options.dry_run:
                note.would(f"join {self._lab.address} with a one-time token ({flaw})")
            else:
                running = [service for service in board.services if service.installed() and service.is_active()]
                for service in running:
                    service.stop()
                try:
                    # The lab shuts out whoever has the name until now.
                    self._wait_until_gone()
                    enrolment.join(f"{board.layout.releases}/{name}", self._lab)
                except (DeploymentError, ClientError):
                    for service in running:
                        service.start()
                    raise
                note.did(f"joined {self._lab.address} ({flaw})")
        return bool(flaw)

    def _serve(self, board: _Board, name: str, joined: bool) -> _Before | None:
        """What ran before, if something was started now."""
        chosen = board.chosen
        text = chosen.text(self._unit(board))
        with self._journal.step("service") as note:
            written = {service.kind: found for service in board.services if (found := service.installed())}
            others = [service for service in board.services if service.kind in written and service is not chosen]
            same = bool(name) and board.there.current == name and written == {chosen.kind: text}
            if same and not joined and chosen.is_active():
                note.found(chosen.place)
                return None
            if self._options.dry_run:
                note.would(f"{'start' if same or not written else 'write and start'} {chosen.place}")
                return None
            old = others[0] if others else chosen
            before = _Before(board.there.current, old, written.get(old.kind, ""))
            for service in board.services:
                if service.kind in written:
                    service.stop()
            try:
                self._wait_until_gone()
                board.releases.switch(name)
                chosen.install(text)
                for service in others:
                    service.remove()
                chosen.start()
            except (DeploymentError, ClientError):
                # Such as a full disk, or a unit that does not start: the board is not left without an agent.
                try:
                    self._restore(board, before)
                except DeploymentError as again:
                    self._journal.warnings.append(f"the agent that ran before is stopped: {again.message}")
                raise
            note.did(chosen.place)
        if not chosen.survives_reboot:
            self._journal.warnings.append(
                "there is no systemd: when the board starts anew, `gauntlet deploy` has to start the agent"
            )
        return before

    def _await(self, board: _Board, name: str, before: _Before | None) -> None:
        with self._journal.step("online") as note:
            if self._options.dry_run:
                if not self._lab.is_connected(self._host.name):
                    note.would("wait until the lab hears of it")
                return
            try:
                self._wait_until_online(board.chosen)
            except AgentDownError as error:
                if before is None:
                    raise
                raise self._go_back(board, name, before, error) from error
            if before is not None:
                note.did(f"agent {self._host.name}")

    # ------------------------------------------------------------------------------------------------ the pieces

    def _unit(self, board: _Board) -> Unit:
        options = [f"--label={key}={value}" for key, value in sorted(self._host.labels.items())]
        if self._host.device_class:
            options.append(f"--device-class={self._host.device_class}")
        facts = board.facts
        filters = may_filter(facts.machine, facts.kernel)
        return Unit(self._host.name, board.layout, [*options, *self._host.agent_options], facts.user, filters)

    def _wait_until_gone(self) -> None:
        """The agent was stopped: a session of that name is another one's."""
        deadline = time.monotonic() + _GONE_TIMEOUT_S
        while self._lab.is_connected(self._host.name):
            if time.monotonic() > deadline:
                raise DeploymentError(
                    f"an agent called {self._host.name} stays connected to the lab, from elsewhere or started by hand",
                    "end that one, or give this host another name",
                )
            self._pause()

    def _wait_until_online(self, service: Service) -> None:
        begin = asked = time.monotonic()
        while not self._lab.is_connected(self._host.name):
            now = time.monotonic()
            if now - begin > self._options.online_timeout_s:
                raise AgentDownError(
                    f"the agent did not reach the lab within {self._options.online_timeout_s:g} s", service.log()
                )
            if now - asked > _ASK_BOARD_EVERY_S:
                asked = now
                if service.exits() >= _ENOUGH_EXITS:
                    raise AgentDownError("the agent ends as soon as it is started", service.log())
            self._pause()

    def _go_back(self, board: _Board, name: str, before: _Before, error: AgentDownError) -> AgentDownError:
        """Let run what ran before; what to say then."""
        why = f"{error.message}: {error.log[-1]}" if error.log else error.message
        if not self._restore(board, before):
            remedy = "it is installed, and stopped: mend that and deploy again, or `gauntlet undeploy`"
            return AgentDownError(why, error.log, remedy)
        old = "as it was before" if before.release == name else f"with {before.release}"
        try:
            self._wait_until_online(before.service)
        except AgentDownError as again:
            return AgentDownError(f"{why}; nor does it come up {old}: {again.message}", error.log)
        return AgentDownError(f"{why}; it runs {old} again", error.log)

    def _restore(self, board: _Board, before: _Before) -> bool:
        """Start what ran before; False: nothing did. What is as it was is not written: the disk may be full."""
        if board.chosen.installed():
            board.chosen.stop()
        if not before.release or not before.text:
            return False
        if before.service is not board.chosen:
            board.chosen.remove()
        if board.releases.read().current != before.release:
            board.releases.switch(before.release)
        if before.service.installed() != before.text:
            before.service.install(before.text)
        before.service.start()
        return True

    def _pause(self) -> None:
        self._stop.wait(_POLL_S)
        self._journal.check()

    def _told(self, detail: str) -> None:
        self._journal.check()
        self._journal.progress(detail)
