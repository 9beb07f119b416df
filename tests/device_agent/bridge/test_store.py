"""Files on a made-up phone: sent once, whole or not at all, the oldest dropped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict

import pytest

from device_agent.bridge.adb import AdbProgram
from device_agent.bridge.listing import Attached
from device_agent.bridge.store import ROOT, PhoneStore
from device_agent.errors import MeasurementError
from protos.contract import digest_of_bytes
from protos.gauntlet.v1 import failure_pb2
from tests.device_agent.bridge.phones import FakePhones

SERIAL = "4A2B"


def store_of(phones: FakePhones, most_bytes: int = 10_000) -> PhoneStore:
    return PhoneStore(AdbProgram(phones.command).phone(Attached(SERIAL, "device", "", {})), most_bytes)


def files_of(folder: Path, *contents: bytes) -> Dict[str, Path]:
    made = {}
    for content in contents:
        digest = digest_of_bytes(content)
        made[digest] = folder / digest
        made[digest].write_bytes(content)
    return made


async def test_files_are_there_executable_and_nothing_else(phones: FakePhones, tmp_path: Path) -> None:
    kept = phones.add(SERIAL).path(ROOT)
    (kept / "call").mkdir(parents=True)
    for left in ("call.bin", f"{'0' * 64}.part"):
        (kept / left).write_text("of an earlier life")
    files = files_of(tmp_path, b"one", b"two")
    await store_of(phones).hold(files)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == {d: p.read_bytes() for d, p in files.items()}
    assert all(os.access(path, os.X_OK) for path in kept.iterdir())


async def test_what_is_there_is_not_sent_again(phones: FakePhones, tmp_path: Path) -> None:
    kept = phones.add(SERIAL).path(ROOT)
    files = files_of(tmp_path, b"one")
    await store_of(phones).hold(files)
    inode = (kept / next(iter(files))).stat().st_ino
    await store_of(phones).hold(files)
    assert (kept / next(iter(files))).stat().st_ino == inode


async def test_a_file_that_was_damaged_meanwhile_is_sent_again(phones: FakePhones, tmp_path: Path) -> None:
    kept = phones.add(SERIAL).path(ROOT)
    files = files_of(tmp_path, b"one")
    await store_of(phones).hold(files)
    (kept / next(iter(files))).write_bytes(b"ome")
    await store_of(phones).hold(files)
    assert (kept / next(iter(files))).read_bytes() == b"one"


async def test_a_damaged_push_is_repeated_once(phones: FakePhones, tmp_path: Path) -> None:
    kept = phones.add(SERIAL, corrupt_pushes=1).path(ROOT)
    files = files_of(tmp_path, b"one", b"two")
    await store_of(phones).hold(files)
    assert sorted(path.name for path in kept.iterdir()) == sorted(files)


async def test_two_damaged_pushes_are_a_corrupt_artifact(phones: FakePhones, tmp_path: Path) -> None:
    kept = phones.add(SERIAL, corrupt_pushes=2).path(ROOT)
    files = files_of(tmp_path, b"one")
    with pytest.raises(MeasurementError, match="arrived damaged on 4A2B, twice") as caught:
        await store_of(phones).hold(files)
    assert caught.value.kind == failure_pb2.FAILURE_KIND_CORRUPT_ARTIFACT
    assert not (kept / next(iter(files))).exists()


async def test_the_oldest_go_where_room_is_short_and_what_is_needed_stays(phones: FakePhones, tmp_path: Path) -> None:
    kept = phones.add(SERIAL).path(ROOT)
    store = store_of(phones, most_bytes=250)
    old, older, needed, new = (files_of(tmp_path, letter * 100) for letter in (b"a", b"b", b"c", b"d"))
    for files in (old, older, needed):
        await store_of(phones).hold(files)
    for age, files in enumerate((needed, older, old)):
        os.utime(kept / next(iter(files)), (1000 + age, 1000 + age))
    await store.hold({**needed, **new})
    assert {path.name for path in kept.iterdir()} == {*needed, *new}


async def test_what_was_dropped_is_sent_anew(phones: FakePhones, tmp_path: Path) -> None:
    kept = phones.add(SERIAL).path(ROOT)
    store = store_of(phones, most_bytes=150)
    first, second = (files_of(tmp_path, letter * 100) for letter in (b"a", b"b"))
    for files in (first, second, first):
        await store.hold(files)
    assert {path.name for path in kept.iterdir()} == {*first}
