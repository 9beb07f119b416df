"""Boards get an agent, a newer one, a broken one, none: over a real sshd, into a real lab."""

from __future__ import annotations

import asyncio
import os
import tarfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.client import ClientError
from orchestrator.deployment import rollout, unit
from orchestrator.deployment.enrolment import Enrolment
from orchestrator.deployment.errors import DeploymentError, HostKeyError, NoSpaceError, UnfitError, UnreachableError
from orchestrator.deployment.hosts import Host
from orchestrator.deployment.layout import Layout
from orchestrator.deployment.ports import Output, Remote
from orchestrator.deployment.rollout import Options, Rollout
from orchestrator.deployment.steps import AgentDownError, HostReport, Outcome
from protos.gauntlet.v1 import device_pb2
from tests.orchestrator.deployment.site import BROKEN, SILENT, Seen, Site, a_site, outcomes, prepare, tree
from tests.orchestrator.deployment.sshd import Sshd, needs_sshd

pytestmark = [needs_sshd, pytest.mark.slow]

ALREADY = {Outcome.ALREADY}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
async def site(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(unit, "_RESTART_S", 1)
    async with a_site(tmp_path, shared) as made:
        yield made


def fine(report: HostReport) -> HostReport:
    assert report.error is None, f"{report.steps[-1].name}: {report.error.message}"
    return report


def error(report: HostReport) -> DeploymentError:
    assert report.error is not None
    return report.error


def current(board: Sshd) -> str:
    return os.readlink(board.home / ".local/share/gauntlet/current").rpartition("/")[2]


def agents(board: Sshd) -> list[psutil.Process]:
    return [process for process in board.leftovers() if "device_agent" in process.cmdline()]


async def test_a_dry_run_says_each_step_and_changes_nothing(site: Site, sshd: Sshd) -> None:
    host = site.host(sshd)
    before = tree(sshd.home)
    report = fine(await site.deploy(host, dry_run=True))
    assert tree(sshd.home) == before
    assert not agents(sshd)
    planned = {step.name: step.detail for step in report.steps if step.outcome is Outcome.PLANNED}
    assert list(planned) == ["copy", "install", "enrol", "service", "online"]
    assert planned["copy"].startswith("send 2 wheels")
    assert planned["enrol"] == f"join {site.lab.address} with a one-time token (no certificate yet)"
    assert not await asyncio.to_thread(site.client.tokens) or all(
        token.name != host.name for token in await asyncio.to_thread(site.client.tokens)
    )


async def test_a_board_gets_an_agent_keeps_it_and_is_left_as_it_was(site: Site, sshd: Sshd) -> None:
    host = site.host(sshd, labels={"room": "lab 2", "rack": "a"}, device_class="test-board")
    before = tree(sshd.home)

    first = fine(await site.deploy(host))
    assert first.changed
    device = await site.device(host.name)
    assert device.state == device_pb2.DEVICE_STATE_ONLINE
    labels = device.description.labels
    assert (labels["room"], labels["rack"]) == ("lab 2", "a")
    assert device.description.device_class == "test-board"

    [agent] = agents(sshd)
    again = fine(await site.deploy(host))
    assert set(outcomes(again).values()) == ALREADY
    assert not again.changed
    assert [process.pid for process in agents(sshd)] == [agent.pid]

    fine(await site.undeploy(host, dry_run=True))
    assert [process.pid for process in agents(sshd)] == [agent.pid]
    gone = fine(await site.undeploy(host))
    assert outcomes(gone)["certificate"] is Outcome.DONE
    assert tree(sshd.home) == before
    assert not sshd.leftovers()
    certificates = await asyncio.to_thread(site.client.certificates)
    assert [bool(one.revoked_at) for one in certificates if one.name == host.name] == [True]

    nothing = fine(await site.undeploy(host))
    assert set(outcomes(nothing).values()) == ALREADY


async def test_an_upgrade_keeps_one_way_back_and_no_more(site: Site, sshd: Sshd) -> None:
    host = site.host(sshd)
    names = []
    for number in range(3):
        report = fine(await site.deploy(host, site.small(f"v{number}", {"number.py": f"N = {number}\n"})))
        assert outcomes(report)["online"] is Outcome.DONE
        # pip was there already.
        sent = next(step.detail for step in report.steps if step.name == "copy")
        assert sent.startswith("1 wheel, " if number else "2 wheels, ")
        names.append(current(sshd))
    assert len(set(names)) == 3
    assert {path.name for path in (sshd.home / ".local/share/gauntlet/releases").iterdir()} == set(names[1:])
    assert len(list((sshd.home / ".local/share/gauntlet/wheels").iterdir())) == 2
    assert len(agents(sshd)) == 1


async def test_what_is_wanted_of_a_board_may_change_without_a_new_release(site: Site, sshd: Sshd) -> None:
    host = await site.installed(sshd)
    fine(await site.deploy(host))
    report = fine(await site.deploy(replace(host, labels={"room": "lab3"})))
    assert outcomes(report)["install"] is Outcome.ALREADY
    assert outcomes(report)["service"] is Outcome.DONE
    assert dict((await site.device(host.name)).description.labels)["room"] == "lab3"


async def test_a_release_that_does_not_come_up_gives_way_to_the_one_before(site: Site, sshd: Sshd) -> None:
    host = await site.installed(sshd)
    fine(await site.deploy(host))
    good = current(sshd)
    failed = error(await site.deploy(host, site.small("broken", BROKEN)))
    assert isinstance(failed, AgentDownError)
    assert failed.message == (
        f"the agent ends as soon as it is started: error: this release is broken; it runs with {good} again"
    )
    assert current(sshd) == good
    assert (await site.device(host.name)).state == device_pb2.DEVICE_STATE_ONLINE
    assert set(outcomes(fine(await site.deploy(host))).values()) == ALREADY


async def test_options_that_the_agent_does_not_know_give_way_to_those_before(site: Site, sshd: Sshd) -> None:
    host = await site.installed(sshd)
    fine(await site.deploy(host))
    failed = error(await site.deploy(replace(host, agent_options=("--nonsense",))))
    assert "unrecognized arguments: --nonsense; it runs as it was before again" in failed.message
    assert (await site.device(host.name)).state == device_pb2.DEVICE_STATE_ONLINE


async def test_an_agent_that_never_comes_up_is_stopped_and_the_next_attempt_goes_on(site: Site, sshd: Sshd) -> None:
    host = await site.installed(sshd)
    silent = site.small("silent", SILENT)
    failed = error(await site.deploy(host, silent, online_timeout_s=1.0))
    assert failed.message == "the agent did not reach the lab within 1 s"
    assert "gauntlet undeploy" in failed.remedy
    assert not agents(sshd)
    fine(await site.deploy(host))


async def test_a_release_that_does_not_run_there_is_never_switched_to(site: Site, sshd: Sshd) -> None:
    host = await site.installed(sshd)
    fine(await site.deploy(host))
    good, [agent] = current(sshd), agents(sshd)
    unfit = site.small("unfit", {"device_agent/__init__.py": "raise ImportError('GLIBC_2.99 not found')\n"})
    report = await site.deploy(host, unfit)
    assert "GLIBC_2.99 not found" in error(report).message
    assert outcomes(report)["install"] is Outcome.FAILED
    assert current(sshd) == good
    assert agents(sshd) == [agent]
    assert [path.name for path in (sshd.home / ".local/share/gauntlet/releases").iterdir()] == [good]


async def test_a_connection_cut_while_wheels_are_sent_costs_nothing_but_time(site: Site, sshd: Sshd) -> None:
    host = site.host(sshd)
    before = tree(sshd.home)
    seen = Seen(at={"copy": sshd.cut})
    report = await site.deploy(host, observer=seen)
    assert isinstance(error(report), UnreachableError)
    assert outcomes(report)["copy"] is Outcome.FAILED
    again = fine(await site.deploy(host))
    assert outcomes(again)["online"] is Outcome.DONE
    fine(await site.undeploy(host))
    assert tree(sshd.home) == before


async def test_a_connection_cut_while_it_installs_leaves_a_release_that_counts_for_nothing(
    site: Site, sshd: Sshd
) -> None:
    host = await site.installed(sshd)
    release = Path(sshd.home) / ".local/share/gauntlet/releases/0.1.0-half"
    fine(await site.deploy(host))
    # As if an installation had been cut off: a folder without its mark.
    release.mkdir()
    other = site.small("other", {"other.py": ""})
    fine(await site.deploy(host, other))
    assert not release.exists()


async def test_what_is_half_deployed_can_be_removed(site: Site, sshd: Sshd) -> None:
    host = site.host(sshd)
    before = tree(sshd.home)
    assert isinstance(error(await site.deploy(host, observer=Seen(at={"install": sshd.cut}))), UnreachableError)
    assert tree(sshd.home) != before
    fine(await site.undeploy(host))
    assert tree(sshd.home) == before


async def test_where_home_is_the_root_nothing_is_brought_and_nothing_ended_or_removed(site: Site, sshd: Sshd) -> None:
    host = site.host(sshd)
    prepare(sshd, "export HOME=/")
    for report in (await site.deploy(host), await site.undeploy(host)):
        assert "no home folder of its own" in error(report).message
        assert report.steps[-1].name == "look"


async def test_too_little_room_is_said_before_anything_is_sent(site: Site, make_sshd: Callable[..., Sshd]) -> None:
    board = make_sshd(disk_bytes=4_000_000)
    host = site.host(board)
    large = site.small("large", {"large.txt": "x" * 3_000_000})
    before = tree(board.home)
    failed = error(await site.deploy(host, large))
    assert isinstance(failed, UnfitError)
    assert "MB free; " in failed.message
    assert tree(board.home) == before


async def test_a_disk_that_fills_up_meanwhile_is_named_and_the_half_release_removed(
    site: Site, make_sshd: Callable[..., Sshd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout, "_UNPACKED", -2)
    board = make_sshd(disk_bytes=2_600_000)
    host = site.host(board)
    report = await site.deploy(host, site.small("large", {"large.txt": "x" * 3_000_000}))
    assert isinstance(error(report), NoSpaceError)
    assert not list((board.home / ".local/share/gauntlet").glob("releases/*/complete"))
    fine(await site.undeploy(host))
    assert tree(board.home) == set()


async def test_a_host_key_that_is_unknown_or_another_one_ends_it_before_anything_is_asked(
    site: Site, sshd: Sshd
) -> None:
    host = site.host(sshd)
    unknown = await site.deploy(replace(host, known_hosts=(site.folder / "none",)))
    assert isinstance(error(unknown), HostKeyError)
    assert "gauntlet deploy --trust" in error(unknown).remedy
    sshd.change_host_key()
    changed = error(await site.deploy(host))
    assert isinstance(changed, HostKeyError)
    assert changed.changed
    assert "ssh-keygen -R" in changed.remedy


async def test_an_agent_that_was_shut_out_joins_again(site: Site, sshd: Sshd) -> None:
    host = await site.installed(sshd)
    fine(await site.deploy(host))
    await asyncio.to_thread(site.client.revoke, host.name, "test")
    report = fine(await site.deploy(host))
    assert "its certificate is revoked" in next(step.detail for step in report.steps if step.name == "enrol")
    assert (await site.device(host.name)).state == device_pb2.DEVICE_STATE_ONLINE


async def test_a_board_that_cannot_join_keeps_the_agent_that_it_has(
    site: Site, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = await site.installed(sshd)
    fine(await site.deploy(host))
    joined = sshd.home / ".local/share/gauntlet/joined"
    joined.write_text("another.lab:50151\n")
    monkeypatch.setattr(site.side, "token", lambda name: (site.lab.entrance, "gjt1-nonsense"))
    failed = error(await site.deploy(host))
    assert "could not join the lab" in failed.message
    assert len(agents(sshd)) == 1


async def test_a_lab_that_ends_meanwhile_leaves_a_board_its_agent(
    site: Site, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = await site.installed(sshd)
    fine(await site.deploy(host))
    (sshd.home / ".local/share/gauntlet/joined").write_text("another.lab:50151\n")

    def ended(name: str) -> None:
        raise ClientError("the lab does not answer")

    monkeypatch.setattr(site.side, "token", ended)
    assert error(await site.deploy(host)).message == "the lab does not answer"
    assert len(agents(sshd)) == 1


async def test_a_switch_that_fails_leaves_a_board_its_agent(site: Site, sshd: Sshd) -> None:
    host = await site.installed(sshd)
    fine(await site.deploy(host))
    good = current(sshd)
    (sshd.home / ".local/share/gauntlet/current.new/in the way").mkdir(parents=True)
    report = await site.deploy(host, site.small("other", {"other.py": ""}))
    assert "switching to 0.1.0-" in error(report).message
    assert not any("stopped" in warning for warning in report.warnings)
    assert current(sshd) == good
    assert len(agents(sshd)) == 1


async def test_an_agent_of_the_same_name_elsewhere_is_not_taken_for_this_one(
    site: Site, make_sshd: Callable[..., Sshd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout, "_GONE_TIMEOUT_S", 0.5)
    one, two = make_sshd("one"), make_sshd("two")
    fine(await site.deploy(replace(await site.installed(one), name="pi4")))
    failed = error(await site.deploy(replace(await site.installed(two), name="pi4")))
    assert failed.message.startswith("an agent called pi4 stays connected to the lab")
    assert not agents(two)


async def test_a_board_that_cannot_reach_the_lab_is_told_so(site: Site, sshd: Sshd) -> None:
    remote = await asyncio.to_thread(site.dialer.connect, site.host(sshd))
    enrolment = Enrolment(remote, Layout(sshd.home_there), "python3")
    with pytest.raises(DeploymentError, match=r"cannot reach the lab at 127.0.0.1:1: .*refused"):
        await asyncio.to_thread(enrolment.check_way, "127.0.0.1", 1)
    with pytest.raises(DeploymentError, match=r"cannot reach the lab at lab.invalid:1"):
        await asyncio.to_thread(enrolment.check_way, "lab.invalid", 1)
    elsewhere = replace(site.host(sshd), address="192.0.2.1")
    failed = error(await site.deploy(elsewhere))
    assert "this machine's own loopback" in failed.message
    assert "gauntlet lab init --name" in failed.remedy


async def test_an_agent_that_dies_is_started_again(site: Site, sshd: Sshd) -> None:
    host = await site.installed(sshd)
    fine(await site.deploy(host))
    [agent] = agents(sshd)
    agent.kill()
    agent.wait(10)
    report = fine(await site.deploy(host))
    assert set(outcomes(report).values()) == ALREADY
    assert (await site.device(host.name)).state == device_pb2.DEVICE_STATE_ONLINE


async def test_a_board_that_was_started_anew_gets_its_agent_back(site: Site, sshd: Sshd) -> None:
    host = await site.installed(sshd)
    first = fine(await site.deploy(host))
    assert any("gauntlet deploy" in warning for warning in first.warnings)
    for process in sshd.leftovers():
        process.kill()
    report = fine(await site.deploy(host))
    assert outcomes(report)["install"] is Outcome.ALREADY
    assert outcomes(report)["service"] is Outcome.DONE


def relocated_python(folder: Path) -> Path:
    """The Python of the tests as an archive, as far as an agent needs it."""
    import sys

    archive = folder / "python.tar.gz"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    unwanted = {"test", "site-packages", "dist-packages", "__pycache__", "idlelib", "tkinter", "lib2to3", "ensurepip"}

    def wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = Path(member.name)
        return None if unwanted & set(name.parts) or name.name.startswith("config-") else member

    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(Path(sys.executable).resolve(), "python/bin/python3")
        tar.add(Path(os.__file__).parent, f"python/lib/{version}", filter=wanted)
    return archive


async def test_a_board_gets_a_python_of_its_own(site: Site, sshd: Sshd) -> None:
    archive = await asyncio.to_thread(relocated_python, site.folder)
    host = site.host(sshd, python=archive)
    planned = fine(await site.deploy(host, dry_run=True))
    assert outcomes(planned)["python"] is Outcome.PLANNED
    report = fine(await site.deploy(host))
    assert outcomes(report)["python"] is Outcome.DONE
    [agent] = agents(sshd)
    assert "/pythons/" in str(await asyncio.to_thread(os.readlink, f"/proc/{agent.pid}/exe"))
    assert set(outcomes(fine(await site.deploy(host))).values()) == ALREADY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        (b"no archive", "unpacking python.tar.gz failed"),
        ({}, "holds no bin/python3"),
        ({"python/bin/python3": "#!/bin/sh\necho 'Exec format error' >&2\nexit 126\n"}, "Exec format error"),
        ({"python/bin/python3": "#!/bin/sh\necho cpython 3 8\n"}, "is Python 3.8"),
    ],
)
async def test_a_file_that_is_no_python_for_the_board_is_refused(
    site: Site, sshd: Sshd, content: bytes | dict[str, str] | None, message: str
) -> None:
    archive = site.folder / "python.tar.gz"
    if isinstance(content, bytes):
        archive.write_bytes(content)
    elif content is not None:
        with tarfile.open(archive, "w:gz") as tar:
            for name, text in content.items():
                (site.folder / "member").write_text(text)
                (site.folder / "member").chmod(0o755)
                tar.add(site.folder / "member", name)
    failed = error(await site.deploy(site.host(sshd, python=archive)))
    assert message in failed.message
    assert failed.remedy


_WAITS_ONCE = """
import os, time
try:
    os.close(os.open(os.path.expanduser("~/begun"), os.O_CREAT | os.O_EXCL))
    time.sleep(40)
except FileExistsError:
    pass
"""


def appears(file: Path) -> None:
    while not file.exists():
        time.sleep(0.05)


async def test_of_two_who_deploy_at_once_the_second_gets_through_and_the_first_spoils_nothing(
    site: Site, sshd: Sshd
) -> None:
    host = site.host(sshd)
    wheels, done = site.small("waits"), threading.Event()
    wheels.replace_installer(_WAITS_ONCE)

    def far_away(host: Host) -> Remote:
        """Who notices late what happened, and then removes something."""
        remote = site.dialer.connect(host)
        run = remote.run

        def slow(command: Sequence[str], *words: Any, **more: Any) -> Output:
            if command[0] == "rm":
                done.wait(60)
            return run(command, *words, **more)

        remote.run = slow  # type: ignore[method-assign]
        return remote

    rollout = Rollout(host, far_away, site.side, wheels, Options(), Seen(), threading.Event())
    first = asyncio.create_task(asyncio.to_thread(rollout.run))
    await asyncio.to_thread(appears, sshd.home / "begun")
    fine(await site.deploy(host, wheels))
    done.set()
    ended = error(await first)
    assert (sshd.home / ".local/share/gauntlet/current/complete").exists()
    assert ended.message.startswith("installing 0.1.0-")
    assert len(agents(sshd)) == 1


async def test_twenty_boards_at_once(site: Site, make_sshd: Callable[..., Sshd]) -> None:
    hosts = [site.host(make_sshd(f"board{number}")) for number in range(20)]
    hosts.append(replace(hosts[0], name="unreachable", port=1))
    reports = await site.deploy_all(hosts, site.small("small"))
    for report in reports[:-1]:
        fine(report)
    assert isinstance(error(reports[-1]), UnreachableError)
    devices = await asyncio.to_thread(site.client.devices)
    assert sum(device.state == device_pb2.DEVICE_STATE_ONLINE for device in devices) == 20
