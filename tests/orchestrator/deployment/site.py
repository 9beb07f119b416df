"""A real lab with TLS, and boards that are real sshd processes: what deployments are tried on.

Small wheels stand in for the base install where a test is about the steps: Gauntlet and its libraries are then borrowed
from the environment of the tests, by a line in a .pth file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from orchestrator.client import SyncClient
from orchestrator.client.credentials import path_of
from orchestrator.deployment.dialing import Dialer
from orchestrator.deployment.hosts import Host
from orchestrator.deployment.lab import LabSide
from orchestrator.deployment.parallel import run_all
from orchestrator.deployment.removal import Removal
from orchestrator.deployment.rollout import Options, Rollout
from orchestrator.deployment.steps import HostReport, Outcome
from orchestrator.deployment.target import Target
from orchestrator.deployment.wheelhouse import Wheel, Wheelhouses
from protos.gauntlet.v1 import fleet_pb2
from tests.conftest import ROOT
from tests.orchestrator.deployment.sshd import Sshd
from tests.orchestrator.deployment.wheels import make_wheel
from tests.orchestrator.security.lab import SecureLab, secure_lab

_UNPACKER = """
import sys, sysconfig, zipfile
assert sys.argv[1] == "install" and "--no-index" in sys.argv
for word in sys.argv[2:]:
    if word.endswith(".whl"):
        zipfile.ZipFile(word).extractall(sysconfig.get_path("purelib"))
"""
#: An agent that passes for whole, and cannot run.
BROKEN = {
    "device_agent/__init__.py": "",
    "device_agent/service.py": "",
    "device_agent/worker/__init__.py": "",
    "device_agent/worker/__main__.py": "",
    "device_agent/cli.py": "def main(words): return 0\n",
    "device_agent/__main__.py": "import sys\nsys.exit('error: this release is broken' if 'run' in sys.argv else 0)\n",
}
#: The same, and it does not notice.
SILENT = {**BROKEN, "device_agent/__main__.py": "import sys, time\ntime.sleep(600 if 'run' in sys.argv else 0)\n"}


class SmallWheels(Wheelhouses):
    """Two wheels: a Gauntlet that borrows the rest, and what unpacks it, since pip takes seconds to begin.

    Args:
        folder: where they are made.
        files: more files in it; another text makes another release.
    """

    def __init__(self, folder: Path, files: dict[str, str] | None = None) -> None:
        super().__init__(folder)
        borrowed = f"{_borrowed(folder.parent / 'borrowed')}\n{ROOT}\n"
        wheel = make_wheel(folder, "gauntlet", "0.1.0", files={"borrowed.pth": borrowed, **(files or {})})
        self._made = [Wheel.of(wheel), self._installer(folder, "")]

    @staticmethod
    def _installer(folder: Path, before: str) -> Wheel:
        return Wheel.of(make_wheel(folder, "pip", files={"pip/__main__.py": before + _UNPACKER}))

    def replace_installer(self, before: str) -> None:
        """Let what unpacks the wheels do this first."""
        self._made[1] = self._installer(self._made[1].path.parent, before)

    def is_ready(self, target: Target) -> bool:
        return True

    def wheels(self, target: Target) -> list[Wheel]:
        return self._made


def _borrowed(folder: Path) -> Path:
    """A folder with the base install's libraries, and no others: an agent that finds torch loads it."""
    if folder.exists():
        return folder
    folder.mkdir(parents=True)
    pending, seen = ["gauntlet"], set()
    while pending:
        name = canonicalize_name(pending.pop())
        if name in seen:
            continue
        seen.add(name)
        found = metadata.distribution(name)
        tops = {file.parts[0] for file in found.files or () if file.parts[0] != ".."} if name != "gauntlet" else set()
        for top in tops - {"__pycache__"}:
            with contextlib.suppress(FileExistsError):  # a namespace of several
                (folder / top).symlink_to(Path(str(found.locate_file(top))))
        wanted = [Requirement(line) for line in found.requires or ()]
        pending += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    return folder


@dataclass
class Seen:
    """An observer that remembers, and may be told to do something at a certain point."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    at: dict[str, Callable[[], object]] = field(default_factory=dict)

    def began(self, host: str, step: str) -> None:
        self.steps.append((host, step))

    def progress(self, host: str, detail: str) -> None:
        step = self.steps[-1][1]
        if act := self.at.pop(step, None):
            act()

    def ended(self, report: HostReport) -> None:
        self.steps.append((report.host, "ended"))


@dataclass
class Site:
    """All that a deployment needs.

    Attributes:
        lab: that boards join.
        client: its administrator's.
        side: the lab's side of deployments.
        dialer: reaches boards.
        known_hosts: of the user.
        folder: for files of the test.
        shared: for files of all tests.
    """

    lab: SecureLab
    client: SyncClient
    side: LabSide
    dialer: Dialer
    known_hosts: Path
    folder: Path
    shared: Path

    def host(self, board: Sshd, **fields: object) -> Host:
        """How a board is reached; its key is known, and its agents get going fast."""
        with self.known_hosts.open("a") as file:
            file.write(board.known_hosts)
        prepare(board)
        return board.host(known_hosts=(self.known_hosts,), **fields)

    async def installed(self, board: Sshd, **fields: object) -> Host:
        """The same with the release of small wheels on it, as an earlier deployment may have left it: to save time."""
        host = self.host(board, **fields)
        template = self.shared / "template"
        there = board.home / ".local/share/gauntlet"
        if not template.exists():
            await self.deploy(host)
            for name in ("releases", "wheels"):
                shutil.copytree(there / name, template / name, symlinks=True)
            await self.undeploy(host)
        await asyncio.to_thread(shutil.copytree, template, there, symlinks=True)
        return host

    async def deploy(
        self,
        host: Host,
        wheels: Wheelhouses | None = None,
        observer: Seen | None = None,
        **options: object,
    ) -> HostReport:
        """What `gauntlet deploy` does with one host."""
        rollout = self._rollout(host, wheels or self.small("small"), Options(**options), observer or Seen())  # type: ignore[arg-type]
        return await asyncio.to_thread(rollout.run)

    async def deploy_all(self, hosts: Sequence[Host], wheels: Wheelhouses) -> list[HostReport]:
        """The same with many, all at once."""
        rollouts = [self._rollout(host, wheels, Options(), Seen()) for host in hosts]
        return await asyncio.to_thread(run_all, rollouts, len(rollouts), threading.Event(), Seen())

    def _rollout(self, host: Host, wheels: Wheelhouses, options: Options, observer: Seen) -> Rollout:
        return Rollout(host, self.dialer.connect, self.side, wheels, options, observer, threading.Event())

    def small(self, name: str, files: dict[str, str] | None = None) -> SmallWheels:
        """Small wheels; another name wants other files."""
        return SmallWheels(self.shared / name, files)

    async def undeploy(self, host: Host, dry_run: bool = False) -> HostReport:
        """What `gauntlet undeploy` does with one host."""
        removal = Removal(host, self.dialer.connect, self.side, dry_run, Seen(), threading.Event())
        return await asyncio.to_thread(removal.run)

    async def device(self, name: str) -> fleet_pb2.Device:
        """As the lab knows it."""
        devices = await asyncio.to_thread(self.client.devices)
        return next(device for device in devices if device.description.device_id == name)


@asynccontextmanager
async def a_site(folder: Path, shared: Path) -> AsyncIterator[Site]:
    """A lab that runs, and what reaches boards.

    Args:
        folder: for files of this test.
        shared: for files of all tests.
    """
    async with secure_lab(folder) as lab:
        lab.admin.save(path_of(lab.address))
        client = await asyncio.to_thread(SyncClient, lab.address)
        try:
            side = await asyncio.to_thread(LabSide, client)
            with Dialer() as dialer:
                yield Site(lab, client, side, dialer, folder / "known_hosts", folder, shared)
        finally:
            await asyncio.to_thread(client.close)


def prepare(board: Sshd, *lines: str) -> None:
    """Sessions of this board find the Python of the tests; its agents do not measure as they start."""
    python = Path(sys.executable).resolve().parent
    lock = os.environ["GAUNTLET_HOST_LOCK"]
    board.profile(f"export PATH={python}:$PATH GAUNTLET_FITNESS=0 GAUNTLET_HOST_LOCK={lock}\n" + "\n".join(lines))


def outcomes(report: HostReport) -> dict[str, Outcome]:
    """How each step ended."""
    return {step.name: step.outcome for step in report.steps}


def tree(folder: Path) -> set[str]:
    """All files and folders in it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
