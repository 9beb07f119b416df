"""A lab made of a backup answers as the one that was backed up; of anything else none is made."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backup.contents import BackupError, artifact_path, read_manifest
from orchestrator.backup.making import make
from orchestrator.backup.restoring import choose, restore
from orchestrator.client import Client
from orchestrator.security.setup import set_up
from protos import folderlock
from protos.gauntlet.v1 import job_pb2
from tests.orchestrator.backup.labs import MODEL, MODEL_DIGEST, busy_lab, model_of, next_lease, rows
from tests.orchestrator.lab import ScriptedAgent, a_job, running


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    lab = asyncio.run(busy_lab(tmp_path))
    asyncio.run(set_up(lab, ["lab.example"], 60.0))
    return lab


@pytest.fixture
def backup(tmp_path: Path, lab: Path) -> Path:
    return make(lab, tmp_path / "backups").folder


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_every_row_every_file_and_every_key_comes_back(tmp_path: Path, lab: Path, backup: Path) -> None:
    restored = tmp_path / "new" / "lab"
    told: list[tuple[int, int]] = []
    manifest = restore(backup, restored, lambda *now: told.append(now))
    assert rows(restored) == rows(lab)
    assert model_of(restored) == MODEL
    for name in ("authority.key", "authority.pem", "server.pem"):
        assert (restored / "security" / name).read_bytes() == (lab / "security" / name).read_bytes()
        assert (restored / "security" / name).stat().st_mode & 0o777 == 0o600
    assert restored.stat().st_mode & 0o777 == (restored / "security").stat().st_mode & 0o777 == 0o700
    assert not artifact_path(restored, MODEL_DIGEST).samefile(artifact_path(backup, MODEL_DIGEST))
    assert manifest == read_manifest(backup)
    assert told[-1][0] == told[-1][1] > len(MODEL)
    assert not (restored / ".restore.part").exists()


async def test_the_lab_answers_as_it_did(tmp_path: Path) -> None:
    async def answers(client: Client) -> list[Any]:
        found = await client.jobs()
        jobs = [await client.job(job.job_id) for job in found]
        devices = [device.description for device in await client.devices()]
        return [jobs, devices, await client.get_artifact(MODEL_DIGEST)]

    await busy_lab(tmp_path)
    async with running(tmp_path) as address, Client(address, patience_s=5) as client:
        await asyncio.to_thread(make, tmp_path / "lab", tmp_path / "backups")
        before = await answers(client)
    shutil.rmtree(tmp_path / "lab")
    restore(choose(tmp_path / "backups"), tmp_path / "lab")
    async with running(tmp_path) as address, Client(address, patience_s=5) as client:
        assert await answers(client) == before


async def test_a_job_that_a_device_still_holds_is_its_own_and_another_is_given_out_anew(tmp_path: Path) -> None:
    async with running(tmp_path) as address, Client(address, patience_s=5) as client:
        agent = ScriptedAgent(address)
        await agent.hello()
        await client.submit([await a_job(client, idempotency_key="quick")])
        await agent.finish(await next_lease(agent))  # a device whose jobs are short holds several
        for key in ("one", "two"):
            await client.submit([await a_job(client, idempotency_key=key)])
        leases = [await next_lease(agent), await next_lease(agent)]
        await asyncio.to_thread(make, tmp_path / "lab", tmp_path / "backups")
        await agent.finish(leases[1])  # the backup does not know, and the agent forgets what is acknowledged
    shutil.rmtree(tmp_path / "lab")
    restore(choose(tmp_path / "backups"), tmp_path / "lab")
    async with running(tmp_path) as address, Client(address, patience_s=5) as client:
        agent = ScriptedAgent(address)
        welcome = await agent.hello(held=(leases[0].lease_id,))
        assert list(welcome.abandoned_lease_ids) == []
        await agent.finish(leases[0])
        again = await next_lease(agent)
        assert again.job_id == leases[1].job_id
        await agent.finish(again)
        jobs = [await client.job(lease.job_id) for lease in leases]
        assert [job.state for job in jobs] == [job_pb2.JOB_STATE_SUCCEEDED] * 2


def test_of_a_folder_of_backups_the_newest_is_taken(tmp_path: Path, lab: Path, backup: Path) -> None:
    newer = make(lab, tmp_path / "backups").folder
    assert choose(tmp_path / "backups") == newer
    assert choose(backup) == backup


def test_where_there_is_no_backup_it_says_so(tmp_path: Path, lab: Path) -> None:
    for place, message in ((tmp_path / "none", "no such folder"), (lab, "holds no backup")):
        with pytest.raises(BackupError, match=message):
            choose(place)


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path, lab: Path, backup: Path) -> None:
    before = rows(lab)
    with pytest.raises(BackupError, match=r"is not empty \(artifacts, …\)\nmove away"):
        restore(backup, lab)
    assert rows(lab) == before
    empty = tmp_path / "disk"
    (empty / "lost+found").mkdir(parents=True)
    restore(backup, empty)


def test_a_lab_that_runs_is_left_alone(tmp_path: Path, backup: Path) -> None:
    (tmp_path / "running").mkdir()
    with folderlock.own(tmp_path / "running" / "orchestrator.lock"), pytest.raises(BackupError, match="running lab"):
        restore(backup, tmp_path / "running")


def _bytes_gone(backup: Path) -> None:
    path = artifact_path(backup, MODEL_DIGEST)
    path.unlink()
    path.write_bytes(b"A model")


def _database_damaged(backup: Path) -> None:
    with (backup / "lab.sqlite").open("r+b") as file:
        file.seek(5000)
        file.write(b"x")


def _manifest(backup: Path, **changes: object) -> None:
    path = backup / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _escape(backup: Path) -> None:
    _manifest(backup, files={"lab.sqlite": "0" * 64, "../../escaped": "0" * 64})


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda b: artifact_path(b, MODEL_DIGEST).unlink(), f"lacks {MODEL_DIGEST[:40]}"),
        (_bytes_gone, "is not what was kept there"),
        (_database_damaged, r"lab.sqlite is not what was kept there"),
        (lambda b: (b / "security" / "authority.key").unlink(), "lacks security/authority.key"),
        (lambda b: (b / "manifest.json").write_text("{"), "no manifest of a backup"),
        (lambda b: _manifest(b, schema="9999"), "made by a newer Gauntlet .schema 9999"),
        (lambda b: _manifest(b, format=2), "that this Gauntlet knows: format"),
        (lambda b: _manifest(b, files={}), "names no lab.sqlite"),
        (lambda b: _manifest(b, artifacts={"../../x": 1}), "knows: artifacts"),
        (_escape, "knows: files"),
    ],
)
def test_a_damaged_backup_makes_no_lab(
    tmp_path: Path, backup: Path, harm: Callable[[Path], object], message: str
) -> None:
    harm(backup)
    with pytest.raises(BackupError, match=message) as caught:
        restore(backup, tmp_path / "new")
    assert str(caught.value).count("\n") == 1
    assert not (tmp_path / "new").exists() or names(tmp_path / "new") == {"orchestrator.lock"}


def test_a_database_that_was_damaged_before_it_was_kept_makes_no_lab(tmp_path: Path, backup: Path) -> None:
    import hashlib

    with (backup / "lab.sqlite").open("r+b") as file:
        file.seek(3 * 4096)
        file.write(os.urandom(20 * 4096))
    digest = hashlib.sha256((backup / "lab.sqlite").read_bytes()).hexdigest()
    files = json.loads((backup / "manifest.json").read_text())["files"]
    _manifest(backup, files=files | {"lab.sqlite": digest})
    with pytest.raises(BackupError, match="is damaged: "):
        restore(backup, tmp_path / "new")
    assert names(tmp_path / "new") == {"orchestrator.lock"}


@given(st.binary(max_size=200) | st.from_type(type(None)).map(lambda _: b"null") | st.text().map(lambda t: t.encode()))
def test_whatever_a_manifest_holds_is_a_manifest_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("backup")
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(BackupError):
        read_manifest(folder)


def test_a_backup_of_an_older_schema_is_taken_and_brought_up_to_date(tmp_path: Path, backup: Path) -> None:
    _manifest(backup, schema="0001")
    restore(backup, tmp_path / "new")  # the orchestrator migrates what it opens, see the store's tests


_KILLED = """
    import os, signal, sys
    from pathlib import Path
    from orchestrator.backup.restoring import restore
    restore(Path(sys.argv[1]), Path(sys.argv[2]), lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_one_that_was_killed_leaves_no_lab_and_can_be_done_again(tmp_path: Path, lab: Path, backup: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(_KILLED), str(backup), str(tmp_path / "new")]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL
    assert names(tmp_path / "new") == {"orchestrator.lock", ".restore.part"}
    restore(backup, tmp_path / "new")
    assert rows(tmp_path / "new") == rows(lab)


def test_a_restored_database_is_one_file_that_can_be_read(tmp_path: Path, backup: Path) -> None:
    restore(backup, tmp_path / "new")
    assert {name for name in names(tmp_path / "new") if name.startswith("lab.sqlite")} == {"lab.sqlite"}
    with contextlib.closing(sqlite3.connect(tmp_path / "new" / "lab.sqlite")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
