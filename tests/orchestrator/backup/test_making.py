"""A backup is whole and verified, or it is not there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.backup import making
from orchestrator.backup.contents import BackupError, artifact_path, backups, read_manifest
from orchestrator.backup.making import make
from orchestrator.client import Client
from orchestrator.security.setup import set_up
from protos import folderlock
from tests.orchestrator.backup.labs import MODEL, MODEL_DIGEST, busy_lab, model_of, rows
from tests.orchestrator.lab import ScriptedAgent, a_job, running


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return asyncio.run(busy_lab(tmp_path))


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder on another file system than the tests' own."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == Path("/tmp").stat().st_dev:
        pytest.skip("needs /dev/shm, on another file system than /tmp")
    folder = memory / f"gauntlet-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


async def test_a_lab_that_runs_is_copied_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    async with running(tmp_path) as address, Client(address, patience_s=5) as client:
        agent = ScriptedAgent(address)
        await agent.hello()
        await client.submit([await a_job(client), await a_job(client)])
        backup = await asyncio.to_thread(make, tmp_path / "lab", tmp_path / "backups")
        await client.submit([await a_job(client)])
    assert (backup.manifest.jobs, backup.manifest.devices, backup.manifest.missing) == (2, 1, [])
    assert backup.manifest.artifacts == {MODEL_DIGEST: len(MODEL)}
    assert model_of(backup.folder) == MODEL
    assert sum('INTO "jobs"' in row for row in rows(backup.folder)) == 2


def test_a_backup_says_what_it_holds_and_shows_it_to_nobody(tmp_path: Path, lab: Path) -> None:
    asyncio.run(set_up(lab, ["lab.example"], 60.0))
    settings = tmp_path / "lab.yaml"
    settings.write_text("lease_duration_s: 20\n")
    told: list[tuple[int, int]] = []
    backup = make(lab, tmp_path / "b", settings=settings, on_progress=lambda *now: told.append(now))
    assert names(backup.folder) == {"lab.sqlite", "artifacts", "security", "settings.yaml", "manifest.json"}
    assert read_manifest(backup.folder) == backup.manifest
    security = {f"security/{name}" for name in ("authority.key", "authority.pem", "server.pem")}
    assert set(backup.manifest.files) == {"lab.sqlite", "settings.yaml"} | security
    for path in (backup.folder, backup.folder / "security", tmp_path / "b"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert (backup.folder / "security" / "authority.key").stat().st_mode & 0o777 == 0o600
    done = [now for now, _ in told]
    assert done == sorted(done)
    assert told[-1][0] == told[-1][1] > len(MODEL)


def test_what_is_on_the_same_disk_is_linked(tmp_path: Path, lab: Path) -> None:
    backup = make(lab, tmp_path / "b")
    assert backup.linked_bytes == len(MODEL)
    assert artifact_path(backup.folder, MODEL_DIGEST).samefile(artifact_path(lab, MODEL_DIGEST))


def test_on_another_disk_each_artifact_takes_room_once(lab: Path, other_disk: Path) -> None:
    first, second = make(lab, other_disk / "b"), make(lab, other_disk / "b")
    assert (first.linked_bytes, second.linked_bytes) == (0, len(MODEL))
    assert artifact_path(second.folder, MODEL_DIGEST).samefile(artifact_path(first.folder, MODEL_DIGEST))
    assert artifact_path(first.folder, MODEL_DIGEST).stat().st_mode & 0o777 == 0o600


def test_a_damaged_copy_in_the_backup_before_is_not_shared(lab: Path, other_disk: Path) -> None:
    first = make(lab, other_disk / "b")
    artifact_path(first.folder, MODEL_DIGEST).write_bytes(b"A model")
    second = make(lab, other_disk / "b")
    assert model_of(second.folder) == MODEL
    assert second.manifest.missing == []


def test_what_the_lab_has_lost_is_taken_from_the_backup_before_or_named(lab: Path, other_disk: Path) -> None:
    make(lab, other_disk / "b")
    artifact_path(lab, MODEL_DIGEST).write_bytes(b"A model")
    assert make(lab, other_disk / "b").manifest.missing == []
    assert make(lab, other_disk / "c").manifest.missing == [MODEL_DIGEST]  # no earlier one there
    artifact_path(lab, MODEL_DIGEST).unlink()
    gone = make(lab, other_disk / "d")
    assert gone.manifest.missing == [MODEL_DIGEST]
    assert gone.manifest.artifacts == {}


def test_an_artifact_that_no_job_needs_any_more_is_not_missed(tmp_path: Path, lab: Path) -> None:
    with contextlib.closing(sqlite3.connect(lab / "lab.sqlite")) as connection, connection:
        connection.execute("UPDATE jobs SET state = 'succeeded', finished_at = 1790000000")
    artifact_path(lab, MODEL_DIGEST).unlink()
    assert make(lab, tmp_path / "b").manifest.missing == []


def test_the_newest_are_kept_and_nothing_else_is_touched(tmp_path: Path, lab: Path) -> None:
    target = tmp_path / "b"
    made = [make(lab, target, clock=lambda day=day: 1_790_000_000 + 86_400 * day) for day in range(3)]
    (target / "lab-notes").mkdir()
    (target / "lab-20200101T000000Z").mkdir()  # nothing in it says that it is a backup
    last = make(lab, target, keep=2)
    assert last.removed == (made[0].folder, made[1].folder)
    assert backups(target) == [made[2].folder, last.folder]
    assert {"lab-notes", "lab-20200101T000000Z"} <= names(target)


def test_two_backups_of_one_second_have_two_names(tmp_path: Path, lab: Path) -> None:
    made = [make(lab, tmp_path / "b", clock=lambda: 1_790_000_000.0).folder for _ in range(3)]
    assert backups(tmp_path / "b") == made
    assert len(set(made)) == 3


def test_two_at_once_do_not_meet(tmp_path: Path, lab: Path) -> None:
    target = tmp_path / "b"
    target.mkdir()
    with folderlock.own(target / ".lock"), pytest.raises(BackupError, match=f"under way .process {os.getpid()}"):
        make(lab, target)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no lab in"),
        (b"", "is empty: no lab ever ran there"),
        (b"no database at all, and longer than a page header " * 10, "no SQLite database"),
        ("CREATE TABLE t (x)", "a database of another program"),
        (
            "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('9999')",
            "written by a newer Gauntlet",
        ),
    ],
)
def test_what_is_no_lab_is_refused_in_one_line(tmp_path: Path, content: bytes | str | None, message: str) -> None:
    source, target = tmp_path / "lab", tmp_path / "b"
    source.mkdir()
    if isinstance(content, bytes):
        (source / "lab.sqlite").write_bytes(content)
    elif content is not None:
        with contextlib.closing(sqlite3.connect(source / "lab.sqlite")) as connection:
            connection.executescript(content)
    with pytest.raises(BackupError, match=re.escape(message)):
        make(source, target)
    assert not target.exists() or names(target) == {".lock"}


def test_a_damaged_database_makes_no_backup_and_costs_no_older_one(tmp_path: Path, lab: Path) -> None:
    target = tmp_path / "b"
    make(lab, target)
    with (lab / "lab.sqlite").open("r+b") as file:
        file.seek(3 * 4096)
        file.write(os.urandom(20 * 4096))
    with pytest.raises(BackupError, match=r"lab\.sqlite.*damaged"):
        make(lab, target, keep=1)
    assert len(backups(target)) == 1
    assert not list(target.glob(".lab-*"))


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path, lab: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackupError, match=f"{tmp_path}/file: .*no backup is made\nmend that"):
        make(lab, tmp_path / "file")


def test_an_interrupted_backup_leaves_nothing(tmp_path: Path, lab: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(lab, tmp_path / "b", on_progress=interrupt)
    assert names(tmp_path / "b") == {".lock"}


_KILLED = """
    import os, signal, sys
    from pathlib import Path
    from orchestrator.backup.making import make
    make(Path(sys.argv[1]), Path(sys.argv[2]), on_progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_what_a_killed_one_left_goes_with_the_next(tmp_path: Path, lab: Path) -> None:
    target = tmp_path / "b"
    command = [sys.executable, "-c", textwrap.dedent(_KILLED), str(lab), str(target)]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL
    assert backups(target) == []
    assert [name for name in names(target) if name.endswith(".part")]
    backup = make(lab, target)
    assert names(target) == {".lock", backup.folder.name}


_WRITES_ON_DEMAND = """
    import asyncio, sys
    from orchestrator.store.base import NewJob
    from orchestrator.store.sql import SqlStore
    from protos.gauntlet.v1 import job_pb2

    async def main(path):
        store = await SqlStore.open(path)
        for name in map(str.strip, sys.stdin):
            await store.submit([NewJob(name, job_pb2.JobSpec(idempotency_key=name), "s", ())])
            print(name, flush=True)

    asyncio.run(main(sys.argv[1]))
"""


def test_one_moment_is_copied_while_another_process_writes(
    tmp_path: Path, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "_PAGES", 1)  # so that there is a write between any two of them
    command = [sys.executable, "-c", textwrap.dedent(_WRITES_ON_DEMAND), str(lab / "lab.sqlite")]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert writer.stdin is not None
    assert writer.stdout is not None

    def write(name: str) -> None:
        print(name, file=writer.stdin)
        assert writer.stdout is not None
        assert writer.stdout.readline().strip() == name

    numbers = itertools.count()
    try:
        write("before")
        backup = make(lab, tmp_path / "b", on_progress=lambda done, total: write(f"meanwhile{next(numbers)}"))
        write("after")
    finally:
        writer.kill()
        writer.communicate()
    assert next(numbers) > 40
    text = "\n".join(rows(backup.folder))
    assert "'before'" in text
    assert "meanwhile" not in text
    assert "'meanwhile0'" in "\n".join(rows(lab))


_ON_A_SMALL_DISK = """
    import hashlib, os, shutil, sqlite3, sys
    from pathlib import Path
    from orchestrator.backup.contents import BackupError, artifact_path, backups
    from orchestrator.backup.making import make
    lab, disk, room = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    first = make(lab, disk / "b").folder
    new = os.urandom(900_000)
    path = artifact_path(lab, hashlib.sha256(new).hexdigest())
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(new)
    connection = sqlite3.connect(lab / "lab.sqlite", isolation_level=None)
    connection.execute("UPDATE jobs SET artifacts = artifacts || ' ' || ?", [path.name])
    (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free - room))
    try:
        make(lab, disk / "b", keep=1)
    except BackupError as error:
        print(error)
    assert backups(disk / "b") == [first], list((disk / "b").iterdir())
    assert not list((disk / "b").glob(".lab-*"))
    (disk / "ballast").unlink()
    assert path.name in make(lab, disk / "b").manifest.artifacts
"""


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    attempt = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(attempt, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="needs user namespaces to mount a small disk")
@pytest.mark.parametrize("room_bytes", [20_000, 800_000])  # for half a database; for that, and half an artifact
def test_a_full_disk_keeps_nothing_half_and_older_backups_whole(tmp_path: Path, lab: Path, room_bytes: int) -> None:
    (tmp_path / "disk").mkdir()
    mount_and_run = 'mount -t tmpfs -o size=3m none "$2" && exec "$4" -c "$5" "$1" "$2" "$3"'
    arguments = [str(lab), str(tmp_path / "disk"), str(room_bytes), sys.executable, textwrap.dedent(_ON_A_SMALL_DISK)]
    command = ["unshare", "-rm", "sh", "-c", mount_and_run, "sh", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "the disk" in done.stdout.splitlines()[0]
    assert "is full" in done.stdout.splitlines()[0]
