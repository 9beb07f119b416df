"""The store on SQLite: the contract, and what only a file can suffer."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from google.protobuf.message import Message
from sqlalchemy import event

from orchestrator.jobs import Leased, State
from orchestrator.store import fitness, tables
from orchestrator.store import sql as sql_module
from orchestrator.store.base import StoreError
from orchestrator.store.engine import connect
from orchestrator.store.sql import SqlStore
from protos import artifacts
from protos.gauntlet.v1 import artifact_pb2, device_pb2, measurement_pb2
from tests.orchestrator.store.contract import MakeJob, OpenStore, StoreContract, run_to_success, shifted


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lab" / "lab.sqlite"


@pytest.fixture
def open_store(path: Path, clock: Callable[[], float]) -> OpenStore:
    return lambda: SqlStore.open(path, clock=clock, steady=clock)


class TestSqlStore(StoreContract):
    """On a file."""


# The file.


async def test_a_url_names_the_file_as_well(path: Path) -> None:
    store = await SqlStore.open(f"sqlite:///{path}")
    await store.close()
    assert path.exists()


@pytest.mark.parametrize("location", ["postgresql://host/db", ":memory:", ""])
async def test_a_store_that_is_no_file_is_refused(location: str) -> None:
    with pytest.raises(StoreError, match="file"):
        await SqlStore.open(location)


@pytest.mark.parametrize("content", [b"\x00" * 4096, b"hello" * 1000, random.Random(0).randbytes(5000)])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match="no SQLite database") as caught:
        await SqlStore.open(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


async def test_a_damaged_store_says_so(path: Path, open_store: OpenStore, new_job: MakeJob) -> None:
    store = await open_store()
    await store.submit([new_job() for _ in range(200)])
    await store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = random.Random(0).randbytes(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        await open_store()


async def test_another_programs_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="another program"):
        await SqlStore.open(path)


async def test_a_newer_store_is_refused(path: Path, open_store: OpenStore) -> None:
    await (await open_store()).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match=r"newer Gauntlet \(schema 9999, this one knows \d+\): upgrade"):
        await open_store()


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="folder"):
        await SqlStore.open(tmp_path / "file" / "lab.sqlite")


async def test_a_directory_in_its_place_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be written"):
        await SqlStore.open(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_folder_is_refused(path: Path) -> None:
    path.parent.mkdir(mode=0o500)
    with pytest.raises(StoreError, match="permissions"):
        await SqlStore.open(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_file_is_refused(path: Path, open_store: OpenStore) -> None:
    await (await open_store()).close()
    path.chmod(0o400)
    with pytest.raises(StoreError, match="permissions"):
        await open_store()


async def test_two_that_open_a_new_file_at_once_make_it_once(open_store: OpenStore) -> None:
    for store in await asyncio.gather(*(open_store() for _ in range(3))):
        await store.close()


# The schema.


def test_migrations_make_the_tables(path: Path) -> None:
    asyncio.run(_open_and_close(path))
    with connect(path, begin="BEGIN", connections=1).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


async def test_a_store_of_the_first_schema_comes_up_with_all_that_it_holds(
    path: Path, open_store: OpenStore, new_job: MakeJob
) -> None:
    done, waiting = new_job(), new_job()
    store = await open_store()
    await store.submit([done, waiting])
    await store.save_devices("a1", [device_pb2.DeviceDescription(device_id="pi4-1")])
    await run_to_success(store, done.job_id, "l1", samples="b" * 64)
    before = await store.job(done.job_id)
    await store.close()
    connection = sqlite3.connect(path)
    # As the first release left it: what later migrations made is gone.
    for index in ("ix_jobs_queue", "ix_jobs_deadline"):
        connection.execute(f"DROP INDEX {index}")
    for column in ("user_name", "queued_group", "deadline"):
        connection.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
    connection.execute("CREATE INDEX ix_jobs_queue ON jobs (queued_signature)")
    later = ["suspicions", "checks", "noise_floors", "holds", "maintenance", "device_events"]
    for table in [*later, "tokens", "certificates", "audit"]:
        connection.execute(f"DROP TABLE {table}")
    connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.commit()
    connection.close()

    store = await open_store()
    assert await store.job(done.job_id) == before
    assert [device.description.device_id for device in await store.devices()] == ["pi4-1"]
    assert [queued.job_id for queued in await store.waiting("class=pi4".__eq__, 10)] == [waiting.job_id]
    (marked,) = await store.record_fitness(shifted("c1", "l1"))
    assert marked.job_id == done.job_id
    await store.close()
    with connect(path, begin="BEGIN", connections=1).connect() as schema:
        assert compare_metadata(MigrationContext.configure(schema), tables.metadata) == []


async def test_the_history_of_checks_is_bounded(path: Path, open_store: OpenStore) -> None:
    store = await open_store()
    await asyncio.gather(*(store.record_fitness(shifted(f"c{n}")) for n in range(fitness.HISTORY + 10)))
    await store.record_fitness(shifted("c0", device_id="pi4-2"))
    await store.close()
    connection = sqlite3.connect(path)
    counts = connection.execute("SELECT device_id, count(*) FROM checks GROUP BY device_id ORDER BY 1").fetchall()
    connection.close()
    assert counts == [("pi4-1", fitness.HISTORY), ("pi4-2", 1)]


def test_the_newest_migration_is_the_one_that_the_software_expects() -> None:
    scripts = ScriptDirectory(str(Path(sql_module.__file__).parent / "migrations"))
    assert scripts.get_current_head() == tables.HEAD


def test_a_store_that_is_up_to_date_opens_without_alembic(path: Path) -> None:
    asyncio.run(_open_and_close(path))
    script = f"""
        import asyncio, sys
        from orchestrator.store.sql import SqlStore
        asyncio.run((lambda: SqlStore.open({str(path)!r}))())
        assert "alembic" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)


async def _open_and_close(path: Path) -> None:
    store = await SqlStore.open(path)
    await store.close()


def test_every_artifact_of_a_result_is_known_as_produced() -> None:
    result = measurement_pb2.MeasurementResult()
    expected = set()

    def fill(message: Any, trail: str) -> None:
        for field in message.DESCRIPTOR.fields:
            inner = getattr(message, field.name)
            if isinstance(inner, artifact_pb2.ArtifactRef):
                inner.digest = f"{trail}.{field.name}"
                expected.add(inner.digest)
            elif isinstance(inner, Message):
                fill(inner, f"{trail}.{field.name}")

    fill(result, "result")
    assert expected
    assert {ref.digest for ref in artifacts.made(result)} == expected


async def test_no_query_of_the_scheduler_looks_at_finished_jobs(
    path: Path, open_store: OpenStore, new_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def spying_connect(*args: Any, **kwargs: Any) -> Any:
        engine = connect(*args, **kwargs)
        # The driver's own trace: it also sees what takes the shortcut past SQLAlchemy; values stand in the text.
        event.listen(engine, "connect", lambda driver, _record: driver.set_trace_callback(seen.append))
        return engine

    monkeypatch.setattr(sql_module.engine, "connect", spying_connect)
    store = await open_store()
    await store.submit([new_job(signature="class=pi4")])
    seen.clear()
    assert await store.waiting("class=pi4".__eq__, 10)
    await store.overdue(1.0)
    await store.late(1.0)
    await store.held()
    await store.unfinished("c")
    await store.job("abc")
    await store.list_jobs([], "", 10, "50")
    await store.list_jobs([State.FAILED], "", 10, "50")
    await store.list_jobs([], "c", 10, "50")
    await store.needed_artifacts(1.0)
    await store.apply("abc", Leased("l", "d"))
    await store.record_fitness(shifted("c1", "l1", "l2"))
    await store.close()

    allowed = {"SCAN found", "SCAN CONSTANT ROW"}
    connection = sqlite3.connect(path)
    assert any("queued_signature =" in sql for sql in seen)
    for sql in seen:
        if sql.lstrip().startswith(("SELECT", "WITH")):
            steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
            scans = [step for step in steps if step.startswith("SCAN") and step not in allowed]
            unindexed = [step for step in steps if step.startswith("SEARCH") and "USING" not in step]
            assert not scans + unindexed, sql
            assert not any("queued_signature =" in sql and "ix_jobs_state" in step for step in steps), sql
    connection.close()


# When the disk or the process gives out.


async def test_a_full_disk_is_an_error_and_passes(path: Path, open_store: OpenStore, new_job: MakeJob) -> None:
    store = await open_store()
    assert isinstance(store, SqlStore)
    pages = await store._writer.run(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
    await store._writer.run(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}").all())
    large = [new_job(signature="x" * 100_000) for _ in range(5)]
    answers = await asyncio.gather(*(store.submit([job]) for job in large), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreError] * 5
    assert all("disk is full" in str(answer) for answer in answers), answers
    assert (await store.count_by_state())[State.QUEUED] == 0
    await store._writer.run(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 100000").all())
    assert [(await store.submit([job]))[0].created for job in large] == [True] * 5
    await store.close()


_ON_A_SMALL_DISK = """
    import asyncio, os, sys, uuid
    from orchestrator.store.base import NewJob, StoreError
    from orchestrator.store.sql import SqlStore
    from orchestrator.jobs import State
    from protos.gauntlet.v1 import job_pb2

    def job():
        name = uuid.uuid4().hex
        return NewJob(name, job_pb2.JobSpec(idempotency_key=name, campaign_id="c" * 60), "s", ())

    async def main(folder):
        store = await SqlStore.open(folder + "/lab.sqlite")
        with open(folder + "/ballast", "wb") as ballast:
            ballast.write(bytes(2_000_000))
        acknowledged = 0
        try:
            while True:
                acknowledged += len(await store.submit([job() for _ in range(20)]))
        except StoreError as error:
            assert "disk is full" in str(error), error
        assert (await store.count_by_state())[State.QUEUED] == acknowledged
        os.unlink(folder + "/ballast")
        await store.submit([job()])
        await store.close()
        store = await SqlStore.open(folder + "/lab.sqlite")
        assert (await store.count_by_state())[State.QUEUED] == acknowledged + 1
        await store.close()

    asyncio.run(main(sys.argv[1]))
"""


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    attempt = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(attempt, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="needs user namespaces to mount a small disk")
def test_a_disk_that_is_really_full_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    mount_and_run = 'mount -t tmpfs -o size=6m none "$1" && exec "$2" -c "$3" "$1"'
    arguments = [str(tmp_path), sys.executable, textwrap.dedent(_ON_A_SMALL_DISK)]
    subprocess.run(["unshare", "-rm", "sh", "-c", mount_and_run, "sh", *arguments], check=True, timeout=60)


_SUBMITTING_FOR_EVER = """
    import asyncio, sys, uuid
    from orchestrator.store.base import NewJob
    from orchestrator.store.sql import SqlStore
    from protos.gauntlet.v1 import job_pb2

    async def submit_for_ever(store):
        while True:
            name = uuid.uuid4().hex
            await store.submit([NewJob(name, job_pb2.JobSpec(idempotency_key=name), "s", ())])
            print(name, flush=True)

    async def main(path):
        store = await SqlStore.open(path)
        await asyncio.gather(*(submit_for_ever(store) for _ in range(8)))

    asyncio.run(main(sys.argv[1]))
"""


def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    acknowledged: list[str] = []
    for lines_until_kill in (40, 300):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(_SUBMITTING_FOR_EVER), str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        acknowledged += itertools.islice(process.stdout, lines_until_kill)
        process.kill()
        acknowledged += [line for line in process.stdout if line.endswith("\n")]
        process.wait(timeout=30)
        process.stdout.close()
    present = asyncio.run(_queued(path))
    assert {line.strip() for line in acknowledged} <= present
    # At most those under way had been committed and not acknowledged.
    assert len(present) <= len(acknowledged) + 2 * 8


async def _queued(path: Path) -> set[str]:
    store = await SqlStore.open(path)
    present = {waiting.job_id for waiting in await store.waiting("s".__eq__, 1_000_000)}
    await store.close()
    return present
