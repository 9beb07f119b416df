"""Making a backup.

The database is copied by SQLite's online backup within one read transaction: writers go on, and nothing that they write
meanwhile is in it. Artifacts never change under their names, so that those of a lab on the same disk, or of the backup
before, are linked instead of copied. Linked or copied, all are read, and their digests compared.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.backup.contents import (
    DATABASE,
    MANIFEST,
    SETTINGS,
    BackupError,
    Manifest,
    Progress,
    artifact_path,
    backups,
    check_database,
    copy,
    digest_of,
    explained,
    flush,
)
from orchestrator.security import FOLDER as SECURITY
from orchestrator.store.base import StoreError
from orchestrator.store.engine import DATABASE_ERRORS, connect, revision_of, translate
from orchestrator.store.job_reads import needed_artifacts
from orchestrator.times import rfc3339
from protos import folderlock
from protos.contract import software_version

#: Of the database, between two looks at the progress: 8 MiB.
_PAGES = 2048
_COUNTS = "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM devices)"


@dataclass(frozen=True)
class Backup:
    """A backup just made.

    Attributes:
        linked_bytes: of artifacts that took no room of their own.
        removed: older backups that went.
    """

    folder: Path
    manifest: Manifest
    linked_bytes: int
    removed: tuple[Path, ...]


def make(
    lab: Path,
    target: Path,
    *,
    keep: int | None = None,
    settings: Path | None = None,
    on_progress: Progress = lambda done, total: None,
    clock: Callable[[], float] = time.time,
) -> Backup:
    """Make a backup of a lab, whether it runs or not.

    Args:
        lab: its folder.
        target: folder of this lab's backups, and of no other's; made when it is not there.
        keep: so many stay, the newest; None: all.
        settings: a file of settings to keep with it.
        on_progress: told how many bytes of how many are done.
        clock: Unix time.

    Raises:
        BackupError: nothing is kept then, and no older backup is removed.
    """
    if not (lab / DATABASE).is_file():
        raise BackupError(f"there is no lab in {lab}: it holds no {DATABASE}\nname the lab's folder with --dir")
    with explained(target, "no backup is made"), _owned(target):
        for left_over in target.glob(".lab-*.part"):
            shutil.rmtree(left_over)
        older = backups(target)
        final = _new_name(target, clock())
        part = _part(final)
        part.mkdir(mode=0o700)
        maker = _Maker(lab, part, older[-1] if older else None, on_progress)
        try:
            manifest = maker.make(settings, clock())
            part.rename(final)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        flush(target)
        surplus = [] if keep is None else [*older, final][:-keep]
        for old in surplus:
            # Under another name first: what has a backup's name is whole.
            shutil.rmtree(old.rename(_part(old)))
    return Backup(final, manifest, maker.linked_bytes, tuple(surplus))


@contextlib.contextmanager
def _owned(target: Path) -> Iterator[None]:
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        lock = folderlock.own(target / ".lock")
    except folderlock.FolderInUseError as error:
        raise BackupError(
            f"another backup to {target} is under way (process {error.owner})\nwait until it is done"
        ) from error
    with lock:
        yield


def _new_name(target: Path, now: float) -> Path:
    name = f"lab-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    number = 1
    while (path := target / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path


def _part(final: Path) -> Path:
    return final.with_name(f".{final.name}.part")


class _Maker:
    """Fills one folder.

    Args:
        lab: what is copied.
        part: empty.
        previous: a backup whose files may be shared.
        on_progress: see `make`.
    """

    def __init__(self, lab: Path, part: Path, previous: Path | None, on_progress: Progress) -> None:
        self._lab = lab
        self._part = part
        self._homes = [lab] if previous is None else [lab, previous]
        self._on_progress = on_progress
        self._done_bytes = 0
        self._total_bytes = (lab / DATABASE).stat().st_size
        self.linked_bytes = 0

    def make(self, settings: Path | None, now: float) -> Manifest:
        """All of it, on the disk."""
        database = self._part / DATABASE
        schema, named, needed = self._copy_database(database, now)
        check_database(database)
        files = {DATABASE: digest_of(database)}
        with contextlib.closing(sqlite3.connect(database)) as connection:
            jobs, devices = connection.execute(_COUNTS).fetchone()
        sizes = self._sizes(named)
        self._total_bytes += sum(sizes.values())
        artifacts = {digest: size for digest, size in sizes.items() if self._keep_artifact(digest, size)}
        keys = [path for path in sorted((self._lab / SECURITY).glob("*")) if path.suffix in (".key", ".pem")]
        if keys:
            (self._part / SECURITY).mkdir(mode=0o700)
        for path in keys:
            name = f"{SECURITY}/{path.name}"
            files[name] = copy(path, self._part / name, self._did)
        if settings is not None:
            files[SETTINGS] = copy(settings, self._part / SETTINGS, self._did)
        manifest = Manifest(
            schema=schema,
            made_at=rfc3339(now),
            host=socket.gethostname(),
            folder=str(self._lab),
            software_version=software_version(),
            jobs=jobs,
            devices=devices,
            files=files,
            artifacts=artifacts,
            missing=sorted((needed | sizes.keys()) - artifacts.keys()),
        )
        (self._part / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n")
        flush(self._part / MANIFEST)
        for folder, _, _ in os.walk(self._part):
            flush(Path(folder))
        return manifest

    def _copy_database(self, target: Path, now: float) -> tuple[str, set[str], set[str]]:
        """Its schema, the artifacts that it names, and those of them that unfinished jobs need."""
        source = self._lab / DATABASE
        engine = connect(source, begin="BEGIN", connections=1)
        try:
            with engine.begin() as connection, contextlib.closing(sqlite3.connect(target)) as copied:
                schema = revision_of(source, connection)  # a first read: what follows sees the same moment
                if schema is None:
                    raise BackupError(f"{source} is empty: no lab ever ran there\nname the lab's folder with --dir")
                named, needed = needed_artifacts(connection, 0.0), needed_artifacts(connection, now)
                driver = connection.connection.driver_connection
                assert isinstance(driver, sqlite3.Connection)
                driver.backup(copied, pages=_PAGES, progress=self._did_pages)
                # One file, which can be read where nothing can be written.
                copied.execute("PRAGMA journal_mode=DELETE")
        except StoreError as error:
            raise BackupError(str(error)) from error
        except DATABASE_ERRORS as error:
            raise BackupError(str(translate(target if "full" in str(error) else source, error))) from error
        finally:
            engine.dispose()
        target.chmod(0o600)
        flush(target)
        self._done_bytes = self._total_bytes
        return schema, named, needed

    def _sizes(self, digests: Collection[str]) -> dict[str, int]:
        """Of those that the lab has: what no job needs any more may be gone."""
        sizes = {}
        for digest in sorted(digests):
            with contextlib.suppress(FileNotFoundError):
                sizes[digest] = artifact_path(self._lab, digest).stat().st_size
        return sizes

    def _keep_artifact(self, digest: str, size_bytes: int) -> bool:
        """False: it is damaged, or went meanwhile."""
        target = artifact_path(self._part, digest)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for home in self._homes:
            try:
                os.link(artifact_path(home, digest), target)
            except OSError:  # another file system, another owner, too many names: it can be copied
                continue
            with _damage():
                if digest_of(target, self._did) == digest:
                    self.linked_bytes += size_bytes
                    return True
            target.unlink()
        for home in self._homes:
            with _damage():
                if copy(artifact_path(home, digest), target, self._did) == digest:
                    return True
            target.unlink()
        return False

    def _did(self, size_bytes: int) -> None:
        self._done_bytes = min(self._done_bytes + size_bytes, self._total_bytes)
        self._on_progress(self._done_bytes, self._total_bytes)

    def _did_pages(self, _status: int, remaining: int, total: int) -> None:
        self._on_progress((total - remaining) * self._total_bytes // max(1, total), self._total_bytes)


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """A file that is gone, or that its disk does not give back, costs that file and not the backup."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EIO):
            raise
