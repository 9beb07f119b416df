"""The run log: nothing that was noted is lost, whatever byte the last write ended at, and damage is told."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search import runlog
from search.errors import RunLogError
from search.evaluations import Evaluation
from search.runlog import Asked, Corrected, Event, Note, RunLog, Told, read_history
from tests.search.examples import evaluations


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    # tmp_path would be shared by all examples of a property.
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "runs" / "digits"


@st.composite
def stories(draw: st.DrawFn) -> list[Event]:
    """Events in an order that a campaign can bring about."""
    events: list[Event] = []
    pending: list[tuple[int, str]] = []
    told: list[tuple[int, str]] = []
    asked = 0
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["asked", "told", "corrected", "note"]))
        if kind == "corrected" and told:
            number, text = draw(st.sampled_from(told))
            events.append(Corrected(draw(evaluations(st.just(number), st.just(text)))))
        elif kind == "told" and pending:
            number, text = pending.pop(draw(st.integers(0, len(pending) - 1)))
            told.append((number, text))
            events.append(Told(draw(evaluations(st.just(number), st.just(text)))))
        elif kind == "note":
            events.append(Note(draw(st.sampled_from("ab")), draw(st.none() | st.integers() | st.just({"ü": [1.5]}))))
        else:
            texts = [f"net-{asked + offset}\n" for offset in range(draw(st.integers(1, 3)))]
            events.append(Asked(asked, tuple(texts)))
            pending += list(enumerate(texts, asked))
            asked += len(texts)
    return events


def write(folder: Path, events: list[Event]) -> Path:
    with RunLog.create(folder, "0.1.0", {"seed": 3}, durable=False) as log:
        for event in events:
            append(log, event)
    return log.path


def append(log: RunLog, event: Event) -> None:
    if isinstance(event, Asked):
        assert log.asked(event.architectures) == event
    elif isinstance(event, Told):
        log.told(event.evaluation)
    elif isinstance(event, Corrected):
        log.corrected(event.evaluation)
    else:
        log.note(event.name, event.data)


@given(stories())
@settings(max_examples=40)
def test_what_was_noted_is_read_again(events: list[Event]) -> None:
    with scratch() as folder:
        write(folder, events)
        history = read_history(folder)
        assert history.events == events
        assert (history.software_version, history.about) == ("0.1.0", {"seed": 3})
        told = [event.evaluation.number for event in events if isinstance(event, Told)]
        assert [evaluation.number for evaluation in history.evaluations] == told  # in the order of telling, always
        last = {e.evaluation.number: e.evaluation for e in events if isinstance(e, Told | Corrected)}
        assert history.told == last
        assert set(history.pending) == set(history.asked) - set(told)


@given(stories(), st.data())
@settings(max_examples=60)
def test_a_log_cut_at_any_byte_keeps_every_whole_event_and_goes_on(events: list[Event], data: st.DataObject) -> None:
    with scratch() as folder:
        path = write(folder, events)
        content = path.read_bytes()
        header = content.index(b"\n") + 1
        cut = data.draw(st.integers(header, len(content)))
        path.write_bytes(content[:cut])
        whole = content[:cut].count(b"\n") - 1
        assert read_history(folder).events == events[:whole]
        with RunLog.open(folder, durable=False) as log:
            assert log.history.events == events[:whole]
            for event in events[whole:]:
                append(log, event)
        assert path.read_bytes() == content


@given(st.data())
@settings(max_examples=20)
def test_a_log_without_its_first_line_is_damage(data: st.DataObject) -> None:
    with scratch() as folder:
        path = write(folder, [])
        content = path.read_bytes()
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        with pytest.raises(RunLogError, match="its first line is missing"):
            RunLog.open(folder)


GOOD = json.dumps({"event": "asked", "number": 0, "architectures": ["a"]})
TOLD = json.dumps({"event": "told", "evaluation": Evaluation(0, "a", 1, 1).to_json()})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([GOOD, "{"], "line 3 is not JSON"),
        (["[]"], "line 2 is no event"),
        (["{}"], "line 2: 'event' is missing"),
        ([json.dumps({"event": "sung"})], "line 2: no such event as 'sung'"),
        ([json.dumps({"event": "asked", "number": 0, "architectures": "ab"})], "line 2: 'architectures' is no list"),
        ([GOOD, GOOD], "line 3: candidate 0 follows 0"),
        ([TOLD], "line 2: candidate 0, 'a', was not asked for"),
        ([GOOD, TOLD, TOLD], "line 4: candidate 0 was told before"),
        ([GOOD, TOLD.replace("told", "corrected")], "line 3: candidate 0 is corrected before it was told"),
        ([TOLD.replace("told", "corrected")], "line 2: candidate 0, 'a', was not asked for"),
        ([GOOD, json.dumps({"event": "told", "evaluation": {"number": 0}})], "line 3: 'failure' is missing"),
        ([GOOD, json.dumps({"event": "told", "evaluation": 5})], "line 3: "),
        ([GOOD, TOLD.replace('"macs": 1', '"macs": []')], "line 3: "),
        (["\xff"], "line 2 is not JSON"),
    ],
)
def test_damage_is_told_with_its_line(tmp_path: Path, lines: list[str], message: str) -> None:
    path = write(tmp_path, [])
    with path.open("ab") as file:
        file.write("".join(f"{line}\n" for line in lines).encode("latin-1"))
    before = path.read_bytes()
    for read in (read_history, RunLog.open):
        with pytest.raises(RunLogError) as caught:
            read(tmp_path)
        assert message in caught.value.message
        assert caught.value.remedy
    assert path.read_bytes() == before


def test_a_run_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlog, "FORMAT", 2)
    RunLog.create(tmp_path, "9.9").close()
    monkeypatch.undo()
    with pytest.raises(RunLogError, match=r"is a run of Gauntlet 9\.9, format 2; this version reads 1") as caught:
        RunLog.open(tmp_path)
    assert "begin the run anew in another folder" in caught.value.remedy


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    RunLog.create(tmp_path, "1").close()
    with pytest.raises(RunLogError, match="holds a run already"):
        RunLog.create(tmp_path, "1")
    assert [entry.name for entry in tmp_path.iterdir()] == ["log.jsonl"]


def test_one_process_at_a_time_holds_a_run(tmp_path: Path) -> None:
    with RunLog.create(tmp_path, "1"), pytest.raises(RunLogError, match="in use by another process"):
        RunLog.open(tmp_path)
    RunLog.open(tmp_path).close()


def test_no_run_is_told(tmp_path: Path) -> None:
    for read in (read_history, RunLog.open):
        with pytest.raises(RunLogError, match="holds no run"):
            read(tmp_path / "nowhere")
    (tmp_path / "a file").touch()
    for folder in (Path("/proc/nowhere"), tmp_path / "a file"):
        with pytest.raises(RunLogError, match="cannot hold a run"):
            RunLog.create(folder, "1")


def test_what_contradicts_the_log_is_never_written(tmp_path: Path) -> None:
    with RunLog.create(tmp_path, "1") as log:
        log.asked(["a"])
        log.told(Evaluation(0, "a", 1, 1))
        for wrong in (Evaluation(0, "a", 1, 1), Evaluation(1, "b", 1, 1)):
            with pytest.raises(ValueError, match=r"told before|not asked for"):
                log.told(wrong)
        log.note("end", None)
    assert len(read_history(tmp_path).events) == 3


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def full(descriptor: int, line: bytes) -> int:
        if len(line) < 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, line[:20])

    with RunLog.create(tmp_path, "1") as log:
        log.asked(["a"])
        before = log.path.read_bytes()
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(RunLogError, match=r"cannot be written: .*No space left") as caught:
            log.told(Evaluation(0, "a", 1, 1))
        assert "make room" in caught.value.remedy
        monkeypatch.undo()
        assert log.path.read_bytes() == before
        log.told(Evaluation(0, "a", 1, 1))
    assert read_history(tmp_path).pending == {}


WRITER = """
import sys
from pathlib import Path
from search.evaluations import Evaluation
from search.runlog import RunLog
with RunLog.create(Path(sys.argv[1]), "1", durable=False) as log:
    for number in range(10**9):
        log.asked([f"net-{number}" * 50])
        log.told(Evaluation(number, f"net-{number}" * 50, 1, 1))
        print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_reported(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 200:
            process.send_signal(signal.SIGKILL)
            break
    reported = 200 + len(process.stdout.read().splitlines())
    process.stdout.close()
    process.wait()
    with RunLog.open(tmp_path) as log:
        assert len(log.history.told) >= reported
        assert list(log.history.told) == list(range(len(log.history.told)))
