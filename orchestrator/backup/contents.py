"""What a backup holds, and how one is read and checked."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import StringConstraints, TypeAdapter, ValidationError

from orchestrator.security import FOLDER as SECURITY
from orchestrator.store.tables import HEAD
from protos.contract import DIGEST_PATTERN

DATABASE = "lab.sqlite"
ARTIFACTS = "artifacts"
MANIFEST = "manifest.json"
#: As which the file of settings is kept.
SETTINGS = "settings.yaml"
_NAME = re.compile(r"lab-\d{8}T\d{6}Z(-\d+)?")
_BLOCK_BYTES = 1024 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: Told how many bytes of how many are done.
Progress = Callable[[int, int], None]
Count = Annotated[int, Ge(0)]
Digest = Annotated[str, StringConstraints(pattern=rf"^{DIGEST_PATTERN.pattern}$")]
#: What a manifest may name: it becomes part of a path on this machine.
FileName = Annotated[str, StringConstraints(pattern=rf"^(lab\.sqlite|settings\.yaml|{SECURITY}/[a-z]+\.(key|pem))$")]


class BackupError(Exception):
    """A backup cannot be made or used; a second line says what to do."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a backup says that it holds.

    Attributes:
        schema: revision of the database.
        made_at: RFC 3339; the moment of the database.
        host: on which the lab ran.
        folder: of the lab there.
        files: SHA-256 by path in the backup, but for artifacts.
        artifacts: size in bytes by digest.
        missing: digests of artifacts that were damaged when it was made, or gone although an unfinished job needs them.
    """

    format: Literal[1] = 1
    schema: Annotated[str, StringConstraints(pattern=r"^\d{4}$")]
    made_at: str
    host: str
    folder: str
    software_version: str
    jobs: Count
    devices: Count
    files: dict[FileName, Digest]
    artifacts: dict[Digest, Count]
    missing: list[Digest]

    @property
    def artifact_bytes(self) -> int:
        """Of all artifacts."""
        return sum(self.artifacts.values())


def backups(target: Path) -> list[Path]:
    """The backups in a folder, the oldest first."""
    return sorted(entry.parent for entry in target.glob(f"lab-*/{MANIFEST}") if _NAME.fullmatch(entry.parent.name))


def read_manifest(backup: Path) -> Manifest:
    """What a backup says that it holds.

    Raises:
        BackupError: it is none, damaged, or of a newer Gauntlet.
    """
    path = backup / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}\nname a folder that gauntlet lab backup made") from error
    try:
        manifest = TypeAdapter(Manifest).validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BackupError(
            f"{path} is no manifest of a backup that this Gauntlet knows: {where}: {first['msg']}\n"
            "it is damaged, or of a newer Gauntlet: take another backup, or upgrade"
        ) from error
    if manifest.schema > HEAD:
        raise BackupError(
            f"{backup} was made by a newer Gauntlet (schema {manifest.schema}, this one knows {HEAD})\n"
            f"install Gauntlet {manifest.software_version} or later"
        )
    if DATABASE not in manifest.files:
        raise BackupError(f"{path} names no {DATABASE}\nit is damaged: take another backup")
    return manifest


def check_database(database: Path) -> None:
    """Let SQLite look at every page of a database that nobody uses.

    Raises:
        BackupError: it is damaged.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?immutable=1", uri=True)) as connection:
            [[verdict]] = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        said = " ".join(str(verdict).replace("*", "").split())
        raise BackupError(f"{database} is damaged: {said}\nrestore an older backup, and look at the disk")


def artifact_path(folder: Path, digest: str) -> Path:
    """Where an artifact lies, in a lab's folder as in a backup."""
    return folder / ARTIFACTS / digest[:2] / digest


def copy(source: Path, target: Path, on_bytes: Callable[[int], None]) -> str:
    """Copy a file, for its owner only and onto the disk; its SHA-256."""
    sha = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file, source.open("rb") as content:
        while block := content.read(_BLOCK_BYTES):
            sha.update(block)
            view = memoryview(block)
            while view:
                view = view[file.write(view) :]
            on_bytes(len(block))
        os.fsync(file.fileno())
    return sha.hexdigest()


def digest_of(path: Path, on_bytes: Callable[[int], None] = lambda _: None) -> str:
    """SHA-256 of a file."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            sha.update(block)
            on_bytes(len(block))
    return sha.hexdigest()


def flush(path: Path) -> None:
    """Onto the disk: a file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explained(folder: Path, meanwhile: str) -> Iterator[None]:
    """What the system refuses, in words.

    Args:
        folder: that is written to.
        meanwhile: how things stand then, for people.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise BackupError(f"the disk of {folder} is full: {meanwhile}\nmake room there and try again") from error
        where = error.filename2 or error.filename or folder
        raise BackupError(f"{where}: {error.strerror}: {meanwhile}\nmend that and try again") from error
