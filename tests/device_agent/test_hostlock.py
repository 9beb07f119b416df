"""The host's lock between real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from device_agent.errors import MeasurementError
from device_agent.hostlock import HostLock, lock_path
from protos.gauntlet.v1 import failure_pb2

HOLDER = (
    "import sys, signal; from pathlib import Path; from device_agent.hostlock import HostLock\n"
    "lock = HostLock(Path(sys.argv[1])); assert lock.try_acquire(); print('held', flush=True); signal.pause()"
)


def hold(path: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_only_one_process_holds_it_and_its_death_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    mine = HostLock(path)
    with hold(path) as holder:
        assert not mine.try_acquire()
        assert mine.holder() == holder.pid
        holder.kill()
    assert mine.try_acquire()
    assert mine.held


def test_waiting_is_bounded_and_names_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    now = [0.0]
    told: List[str] = []
    with hold(path) as holder:
        with pytest.raises(MeasurementError, match=f"process {holder.pid}") as caught:
            HostLock(path).acquire(
                120, lambda: told.append("waiting"), lambda: now[0], lambda s: now.__setitem__(0, now[0] + 30)
            )
        holder.kill()
    assert caught.value.kind == failure_pb2.FAILURE_KIND_DEVICE_UNFIT
    assert told == ["waiting"]


def test_spawners_share_it_and_keep_windows_out(tmp_path: Path) -> None:
    one, two, window = (HostLock(tmp_path / "lock") for _ in range(3))
    assert one.try_acquire(shared=True)
    assert two.try_acquire(shared=True)
    assert not window.try_acquire()
    one.release()
    two.release()
    assert window.try_acquire()
    assert not one.try_acquire(shared=True)


def test_nobody_takes_a_share_of_what_a_window_waits_for(tmp_path: Path) -> None:
    working, next_one, window = (HostLock(tmp_path / "lock") for _ in range(3))
    assert working.try_acquire(shared=True)
    offered: List[bool] = []

    def while_waiting(_: float) -> None:
        offered.append(next_one.try_acquire(shared=True))
        working.release()

    window.acquire(sleep=while_waiting)
    assert offered == [False]
    assert window.held
    window.release()
    assert next_one.try_acquire(shared=True)


def test_who_gave_up_waiting_wants_it_no_longer(tmp_path: Path) -> None:
    working, next_one = HostLock(tmp_path / "lock"), HostLock(tmp_path / "lock")
    assert working.try_acquire(shared=True)
    with pytest.raises(MeasurementError):
        HostLock(tmp_path / "lock").acquire(0)
    assert next_one.try_acquire(shared=True)


def test_the_wish_of_a_dead_process_counts_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    wanting = HOLDER.replace("assert lock.try_acquire()", "lock.want(True)")
    share = HostLock(path)
    with subprocess.Popen([sys.executable, "-c", wanting, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert not share.try_acquire(shared=True)
        process.kill()
    assert share.try_acquire(shared=True)


def test_a_removed_lock_file_is_noticed(tmp_path: Path) -> None:
    first, second = HostLock(tmp_path / "lock"), HostLock(tmp_path / "lock")
    assert first.try_acquire()
    (tmp_path / "lock").unlink()
    assert second.try_acquire()
    first.release()
    assert not first.try_acquire()


def test_other_users_may_open_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert HostLock(tmp_path / "lock").try_acquire()
    finally:
        os.umask(before)
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o644


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MeasurementError, match="cannot open the lock"):
        HostLock(tmp_path / "lock").acquire(0)
    assert not (tmp_path / "elsewhere").exists()


def test_its_place_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUNTLET_HOST_LOCK", str(tmp_path / "mine"))
    assert lock_path() == tmp_path / "mine"
