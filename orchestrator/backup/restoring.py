"""A lab's folder, made of a backup."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from orchestrator.backup.contents import (
    ARTIFACTS,
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
    explained,
    flush,
    read_manifest,
)
from orchestrator.security import FOLDER as SECURITY
from protos import folderlock

_PART = ".restore.part"
_LOCK = "orchestrator.lock"
#: What an empty folder may hold: locks, what a restore that broke off left, and what a fresh disk comes with.
_NOTHING = {_PART, _LOCK, "lock", "lost+found"}


def choose(source: Path) -> Path:
    """A backup as it is named, or the newest in a folder of backups.

    Raises:
        BackupError: there is none.
    """
    if (source / MANIFEST).is_file():
        return source
    if not source.is_dir():
        raise BackupError(f"{source}: no such folder\nname a backup, or the folder of a lab's backups")
    found = backups(source)
    if not found:
        raise BackupError(f"{source} holds no backup\nname a folder that gauntlet lab backup made")
    return found[-1]


def restore(backup: Path, lab: Path, on_progress: Progress = lambda done, total: None) -> Manifest:
    """Fill a lab's folder from a backup, which stays as it is.

    All is copied beside, checked against the manifest, and then put in place, the database last: a lab that starts
    finds all of it, or none.

    Args:
        backup: see `choose`.
        lab: the folder; empty, or made.
        on_progress: told how many bytes of how many are done.

    Raises:
        BackupError: the backup cannot be used, or the folder is not empty; it is left as it was.
    """
    manifest = read_manifest(backup)
    with explained(lab, "nothing is restored"), _owned(lab):
        part = lab / _PART
        if part.exists():
            shutil.rmtree(part)
        part.mkdir(mode=0o700)
        try:
            _copy_all(backup, part, manifest, on_progress)
            for name in (ARTIFACTS, SECURITY, SETTINGS, DATABASE):
                if (part / name).exists():
                    (part / name).rename(lab / name)
            flush(lab)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return manifest


@contextlib.contextmanager
def _owned(lab: Path) -> Iterator[None]:
    lab.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        lock = folderlock.own(lab / _LOCK)
    except folderlock.FolderInUseError as error:
        raise BackupError(
            f"{lab} belongs to a running lab (process {error.owner})\nstop it, and restore into an empty folder"
        ) from error
    with lock:
        there = sorted(entry.name for entry in lab.iterdir() if entry.name not in _NOTHING)
        if there:
            raise BackupError(
                f"{lab} is not empty ({there[0]}{', …' * (len(there) > 1)})\n"
                "move away what is there, or name another folder with --dir"
            )
        yield


def _copy_all(backup: Path, part: Path, manifest: Manifest, on_progress: Progress) -> None:
    wanted = {name: (digest, backup / name, part / name) for name, digest in manifest.files.items()}
    for digest in manifest.artifacts:
        wanted[digest] = (digest, artifact_path(backup, digest), artifact_path(part, digest))
    total_bytes = sum(source.stat().st_size for _, source, _ in wanted.values() if source.is_file())
    done_bytes = 0

    def did(size_bytes: int) -> None:
        nonlocal done_bytes
        done_bytes += size_bytes
        on_progress(done_bytes, total_bytes)

    for name, (digest, source, target) in wanted.items():
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            found = copy(source, target, did)
        except FileNotFoundError as error:
            raise BackupError(f"{backup} lacks {name[:40]}\nit is damaged: take another backup") from error
        if found != digest:
            raise BackupError(f"{source} is not what was kept there\nit is damaged: take another backup")
    check_database(part / DATABASE)
