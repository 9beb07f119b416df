"""The embedded lab with small children in place of orchestrator and agent: real processes, pipes and locks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gauntlet import embedded, folder
from gauntlet.embedded import EmbeddedLab
from gauntlet.errors import LabError, UsageError

GOOD = "import sys; print('up', flush=True); sys.stdin.read()"
BAD = "import sys; print('disk on fire', file=sys.stderr); sys.exit(3)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


def children(orchestrator: str = GOOD, agent: str = GOOD) -> embedded.Commands:
    """Commands of children that run these scripts."""

    def commands(address: str, lab_dir: Path, measures: bool) -> dict[str, list[str]]:
        scripts = {"orchestrator": orchestrator, **({"agent": agent} if measures else {})}
        return {name: [sys.executable, "-S", "-c", script] for name, script in scripts.items()}

    return commands


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "did not come true"
        time.sleep(0.01)


def is_alive(pid: int | None) -> bool:
    """Runs, and is no zombie that waits for a parent which has died itself."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_up(lab: EmbeddedLab, name: str = "orchestrator") -> bool:
    return "up" in lab.log_tail(name)


@pytest.fixture
def lab_dir(tmp_path: Path) -> Iterator[Path]:
    lab_dir = tmp_path / "lab"
    yield lab_dir
    # Nothing that a test started may outlive it: the lock is free only when all its children are gone.
    lock = folder.try_lock(folder.prepare(lab_dir))
    assert lock is not None, "a child is left"
    os.close(lock)


def test_it_starts_both_and_ends_both(lab_dir: Path) -> None:
    with EmbeddedLab.start(lab_dir, children=children()) as lab:
        assert lab.owned
        assert lab.address.startswith("unix:")
        assert lab_dir.stat().st_mode & 0o777 == 0o700
        runtime = Path(lab.address.removeprefix("unix:")).parent
        assert runtime.stat().st_mode & 0o777 == 0o700
        pids = list(lab.pids().values())
        assert len(pids) == 2
        assert all(map(is_alive, pids))
    assert not any(map(is_alive, pids))
    assert not runtime.exists()
    assert folder.read_record(lab_dir) is None


def test_without_measuring_there_is_no_agent(lab_dir: Path) -> None:
    with EmbeddedLab.start(lab_dir, measures=False, children=children()) as lab:
        assert list(lab.pids()) == ["orchestrator"]


def test_its_children_end_when_it_is_killed(lab_dir: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from gauntlet.embedded import EmbeddedLab\n"
        f"names = ('orchestrator', 'agent'); good = [sys.executable, '-c', {GOOD!r}]\n"
        f"lab = EmbeddedLab.start(Path({str(lab_dir)!r}), children=lambda *_: {{name: good for name in names}})\n"
        "print(*lab.pids().values(), flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pids = [int(word) for word in owner.stdout.readline().split()]
    assert len(pids) == 2
    stale = folder.read_record(lab_dir)
    assert stale is not None
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_until(lambda: not any(map(is_alive, pids)))
    # The next lab in the folder starts as if nothing had happened, and sweeps up.
    with EmbeddedLab.start(lab_dir, children=children()) as lab:
        assert lab.owned
        assert not Path(stale.runtime_folder).exists()


def test_a_second_command_attaches_and_may_outlive_the_first(lab_dir: Path) -> None:
    first = EmbeddedLab.start(lab_dir, children=children())
    pids = list(first.pids().values())
    second = EmbeddedLab.start(lab_dir, children=children())
    assert not second.owned
    assert second.address == first.address
    first.close()
    assert all(map(is_alive, pids))
    assert folder.try_lock(lab_dir) is None
    second.close()
    wait_until(lambda: not any(map(is_alive, pids)))


def test_an_attached_command_that_ends_first_leaves_the_lab_up(lab_dir: Path) -> None:
    with EmbeddedLab.start(lab_dir, children=children()) as first:
        EmbeddedLab.start(lab_dir, children=children()).close()
        time.sleep(0.1)
        assert all(map(is_alive, first.pids().values()))


def test_measuring_does_not_attach_to_a_lab_that_only_reads_its_books(
    lab_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_ATTACH_TIMEOUT_S", 0.2)
    with EmbeddedLab.start(lab_dir, measures=False, children=children()):
        with pytest.raises(LabError, match=f"held by another command .process {os.getpid()}.") as caught:
            EmbeddedLab.start(lab_dir, children=children())
        assert "--lab-dir" in caught.value.remedy
        EmbeddedLab.start(lab_dir, measures=False, children=children()).close()


def test_a_child_that_dies_is_started_again(lab_dir: Path) -> None:
    with EmbeddedLab.start(lab_dir, children=children()) as lab:
        first = lab.pids()["agent"]
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: lab.pids()["agent"] != first and is_alive(lab.pids()["agent"]))
        lab.check()
        second = lab.pids()["agent"]
    assert not is_alive(second)


def test_a_child_that_cannot_start_is_reported_with_its_last_words(lab_dir: Path) -> None:
    lab_dir.mkdir()
    (lab_dir / "orchestrator.log").write_text("of an earlier run\n")
    with EmbeddedLab.start(lab_dir, children=children(orchestrator=BAD)) as lab:

        def has_failed() -> bool:
            try:
                lab.check()
            except LabError:
                return True
            return False

        wait_until(has_failed)
        with pytest.raises(
            LabError, match="orchestrator ended 3 times right after its start, last with exit status 3"
        ) as e:
            lab.check()
        assert e.value.detail.splitlines() == ["disk on fire"] * 3
        assert str(lab_dir / "orchestrator.log") in e.value.remedy


def test_a_stubborn_child_is_killed(lab_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gauntlet.children.PATIENCE_S", (0.1, 0.1))
    lab = EmbeddedLab.start(lab_dir, children=children(agent=STUBBORN))
    wait_until(lambda: is_up(lab, "agent"))
    pid = lab.pids()["agent"]
    lab.close()
    assert not is_alive(pid)


def test_the_users_own_modules_shadow_nothing(lab_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("here", "on_path"):
        (tmp_path / place / "search").mkdir(parents=True)
        (tmp_path / place / "search" / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "on_path"))
    script = "import sys, search, gauntlet; print(search.__file__, gauntlet.__file__, flush=True); sys.stdin.read()"
    with EmbeddedLab.start(lab_dir, measures=False, children=children(script)) as lab:
        wait_until(lambda: bool(lab.log_tail("orchestrator")))
        ours = Path(embedded.__file__).parent
        expected = f"{ours.parent / 'search' / '__init__.py'} {ours / '__init__.py'}"
        assert lab.log_tail("orchestrator") == expected


def test_a_log_that_has_grown_large_is_begun_anew(lab_dir: Path) -> None:
    lab_dir.mkdir()
    (lab_dir / "agent.log").write_bytes(b"x" * (1024 * 1024 + 1))
    with EmbeddedLab.start(lab_dir, children=children()) as lab:
        wait_until(lambda: is_up(lab, "agent"))
        assert (lab_dir / "agent.log").stat().st_size < 100
        assert (lab_dir / "agent.log.1").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make the lab folder") as caught:
        EmbeddedLab.start(tmp_path / "file" / "lab", children=children())
    assert "--lab-dir" in caught.value.remedy


def test_a_long_temporary_folder_does_not_make_the_sockets_path_too_long(
    lab_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    with EmbeddedLab.start(lab_dir, measures=False, children=children()) as lab:
        assert len(os.fsencode(lab.address.removeprefix("unix:"))) <= 103


def test_a_damaged_record_is_no_record(lab_dir: Path) -> None:
    lab_dir.mkdir()
    for text in ("", "{", "[]", '{"pid": 1}', '{"surprise": 1}'):
        (lab_dir / "lab.json").write_text(text)
        assert folder.read_record(lab_dir) is None


def test_clearing_a_record_removes_nothing_that_is_not_ours(lab_dir: Path, tmp_path: Path) -> None:
    lab_dir.mkdir()
    precious = tmp_path / "precious"
    precious.mkdir()
    folder.write_record(lab_dir, folder.LabRecord(1, "unix:/x", str(precious)))
    folder.clear_record(lab_dir)
    assert precious.exists()


def test_what_killed_labs_left_is_swept_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(folder, "_MAX_FOLDER_BYTES", 1000)
    left, fresh, used, foreign = (tmp_path / f"gauntlet-{name}" for name in ("left", "fresh", "used", "foreign"))
    for place in (left, fresh, used):
        place.mkdir()
        os.mkfifo(place / folder.LIFELINE)
    foreign.mkdir()
    for place in (left, used, foreign):
        os.utime(place, (0, 0))
    reader = os.open(used / folder.LIFELINE, os.O_RDONLY | os.O_NONBLOCK)
    made = folder.make_runtime_folder()
    os.close(reader)
    assert set(tmp_path.iterdir()) == {fresh, used, foreign, made}


def test_the_default_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert folder.default_folder() == Path("/somewhere/gauntlet/lab")
    monkeypatch.setenv("GAUNTLET_LAB_DIR", "/chosen")
    assert folder.default_folder() == Path("/chosen")
