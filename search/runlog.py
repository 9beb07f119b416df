"""A campaign's memory: an append-only log of what was asked, what was told, and what else is worth keeping.

    runs/NAME/log.jsonl
      {"event": "run",   "format": 1, "software_version": …, "about": {…}}       always the first line, never torn
      {"event": "asked", "number": 0, "architectures": ["…", "…"]}               numbers count through: here 0 and 1
      {"event": "told",  "evaluation": {"number": 1, …}}
      {"event": "corrected", "evaluation": {"number": 1, …}}                     takes the place of what was told
      {"event": "note",  "name": "stage", "data": {…}}

An event counts once its newline is on the disk. `kill -9` and a power cut can tear the last line only: it is cut off
when the log is opened again. Anything else that does not read is damage, and is reported with its line number: a search
that went on over a gap would measure twice or believe what was never measured.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from search.errors import RunLogError
from search.evaluations import Evaluation
from search.files import sync_folder

FORMAT = 1
FILE_NAME = "log.jsonl"


@dataclass(frozen=True)
class Asked:
    """Architectures that a strategy asked for in one go.

    Attributes:
        number: of the first; the others count on from it.
        architectures: their canonical texts.
    """

    number: int
    architectures: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """What came back for one of them."""

    evaluation: Evaluation


@dataclass(frozen=True)
class Corrected:
    """What is known better since: it takes the place of what was told. The strategy is not told again."""

    evaluation: Evaluation


@dataclass(frozen=True)
class Note:
    """Anything else, by name."""

    name: str
    data: Any


Event = Asked | Told | Corrected | Note


@dataclass
class History:
    """The events of a run, joined.

    Attributes:
        software_version: that began the run.
        about: what its beginner wrote into it.
        events: in order.
        asked: architecture by number.
        told: evaluation by number, in the order of telling; as corrected since.
    """

    software_version: str
    about: Mapping[str, Any]
    events: list[Event] = field(default_factory=list)
    asked: dict[int, str] = field(default_factory=dict)
    told: dict[int, Evaluation] = field(default_factory=dict)

    @property
    def evaluations(self) -> list[Evaluation]:
        """What was told, in the order of telling."""
        return list(self.told.values())

    @property
    def pending(self) -> dict[int, str]:
        """Asked for and not yet told, by number."""
        return {number: text for number, text in self.asked.items() if number not in self.told}

    def notes(self, name: str) -> list[Any]:
        """The data of all notes of that name, in order."""
        return [event.data for event in self.events if isinstance(event, Note) and event.name == name]

    def check(self, event: Event) -> None:
        """Refuse an event that does not fit those before it.

        Raises:
            ValueError: it does not.
        """
        if isinstance(event, Asked) and event.number != len(self.asked):
            raise ValueError(f"candidate {event.number} follows {len(self.asked) - 1}")
        if isinstance(event, Told | Corrected):
            number = event.evaluation.number
            if self.asked.get(number) != event.evaluation.architecture:
                raise ValueError(f"candidate {number}, {event.evaluation.architecture!r}, was not asked for")
            if isinstance(event, Told) and number in self.told:
                raise ValueError(f"candidate {number} was told before")
            if isinstance(event, Corrected) and number not in self.told:
                raise ValueError(f"candidate {number} is corrected before it was told")

    def add(self, event: Event) -> None:
        """Append an event.

        Raises:
            ValueError: it does not fit those before it.
        """
        self.check(event)
        if isinstance(event, Asked):
            self.asked.update(enumerate(event.architectures, event.number))
        elif isinstance(event, Told | Corrected):
            self.told[event.evaluation.number] = event.evaluation
        self.events.append(event)


class RunLog:
    """The log of a run, open for appending. One process at a time holds it.

    Attributes:
        path: the file.
        history: all events, those of earlier processes included.
    """

    def __init__(self, path: Path, descriptor: int, history: History, durable: bool) -> None:
        self.path = path
        self.history = history
        self._descriptor = descriptor
        self._durable = durable

    @classmethod
    def create(
        cls, folder: Path, software_version: str, about: Mapping[str, Any] | None = None, durable: bool = True
    ) -> RunLog:
        """Begin a run.

        Args:
            folder: of the run; made if it is not there.
            software_version: ours.
            about: plain data to find again in `History.about`.
            durable: wait for the disk after each event. Without it a power cut, though no crash of a process, may
                cost the last events.

        Raises:
            RunLogError: the folder holds a run, or cannot be written.
        """
        path = folder / FILE_NAME
        header = {"event": "run", "format": FORMAT, "software_version": software_version, "about": dict(about or {})}
        partial = path.with_name(f".{FILE_NAME}.{os.getpid()}.partial")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
            try:
                _append(descriptor, header, durable)
                # The lock comes before the name, and the name only with a whole first line. A link, unlike a rename,
                # does not replace another's run.
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.link(partial, path)
            except BaseException:
                os.close(descriptor)
                raise
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            if path.exists():
                raise RunLogError(
                    f"{folder} holds a run already", "go on with `--resume`, or choose another folder"
                ) from error
            raise RunLogError(f"{folder} cannot hold a run: {error}", "choose a folder that can be written") from error
        if durable:
            sync_folder(folder)
        return cls(path, descriptor, History(software_version, dict(about or {})), durable)

    @classmethod
    def open(cls, folder: Path, durable: bool = True) -> RunLog:
        """Continue a run. A torn last line is cut off.

        Raises:
            RunLogError: no run there, held by another process, of another version, or damaged.
        """
        path = folder / FILE_NAME
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise _unreadable(folder, error) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                remedy = "wait for the other process to end, or stop it"
                raise RunLogError(f"{folder} is in use by another process", remedy) from error
            content = path.read_bytes()
            history = _replay(content, path)
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.ftruncate(descriptor, whole)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, history, durable)

    def asked(self, architectures: Sequence[str]) -> Asked:
        """Note what a strategy asked for. Returns only when it cannot be lost.

        Args:
            architectures: their canonical texts, in the order of asking.

        Raises:
            RunLogError: the disk is full or gone; the log is as it was.
        """
        event = Asked(len(self.history.asked), tuple(architectures))
        self._append(event, {"event": "asked", "number": event.number, "architectures": list(architectures)})
        return event

    def told(self, evaluation: Evaluation) -> None:
        """Note what came back, before the strategy learns of it. Returns only when it cannot be lost.

        Raises:
            ValueError: not asked for, or told before.
            RunLogError: the disk is full or gone; the log is as it was.
        """
        self._append(Told(evaluation), {"event": "told", "evaluation": evaluation.to_json()})

    def corrected(self, evaluation: Evaluation) -> None:
        """Note what takes the place of an evaluation that was told. Returns only when it cannot be lost.

        Raises:
            ValueError: never told.
            RunLogError: the disk is full or gone; the log is as it was.
        """
        self._append(Corrected(evaluation), {"event": "corrected", "evaluation": evaluation.to_json()})

    def note(self, name: str, data: Any) -> None:
        """Keep plain data under a name."""
        self._append(Note(name, data), {"event": "note", "name": name, "data": data})

    def close(self) -> None:
        """Let go of the run."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, event: Event, document: Mapping[str, Any]) -> None:
        self.history.check(event)
        whole = os.fstat(self._descriptor).st_size
        try:
            _append(self._descriptor, document, self._durable)
        except OSError as error:
            # A later event behind half a line would make damage of what was a full disk.
            os.ftruncate(self._descriptor, whole)
            raise RunLogError(f"{self.path} cannot be written: {error}", "make room, then resume the run") from error
        self.history.add(event)


def read_history(folder: Path) -> History:
    """The events of a run, for reading: nothing is changed, and the run may be in use.

    Raises:
        RunLogError: no run there, of another version, or damaged.
    """
    path = folder / FILE_NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(folder, error) from error
    return _replay(content, path)


def _append(descriptor: int, document: Mapping[str, Any], durable: bool) -> None:
    line = memoryview(json.dumps(document, ensure_ascii=False, allow_nan=False).encode() + b"\n")
    while line:
        line = line[os.write(descriptor, line) :]
    if durable:
        os.fsync(descriptor)


def _unreadable(folder: Path, error: OSError) -> RunLogError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return RunLogError(f"{folder} holds no run", "name a folder that a search has written")
    return RunLogError(f"{folder / FILE_NAME} cannot be read: {error}")


def _replay(content: bytes, path: Path) -> History:
    lines = _lines(content, path)
    try:
        _, header = next(lines)
    except StopIteration:
        # The first line is written whole or not at all: this is no crash of ours.
        raise RunLogError(f"{path} is damaged: its first line is missing", _DAMAGED) from None
    history = _begin(header, path)
    for number, document in lines:
        try:
            history.add(_event(document))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise RunLogError(f"{path}, line {number}: {what}", _DAMAGED) from error
    return history


_DAMAGED = "restore the file from a backup, or begin the run anew in another folder"


def _lines(content: bytes, path: Path) -> Iterator[tuple[int, Any]]:
    # What follows the last newline is torn, or empty.
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            document = json.loads(line)
        except ValueError as error:
            raise RunLogError(f"{path}, line {number} is not JSON: {error}", _DAMAGED) from error
        if not isinstance(document, dict):
            raise RunLogError(f"{path}, line {number} is no event", _DAMAGED)
        yield number, document


def _begin(header: Mapping[str, Any], path: Path) -> History:
    if header.get("event") != "run" or "format" not in header:
        raise RunLogError(f"{path}, line 1 does not begin a run", _DAMAGED)
    version = str(header.get("software_version", "an unknown version"))
    if header["format"] != FORMAT:
        raise RunLogError(
            f"{path.parent} is a run of Gauntlet {version}, format {header['format']}; this version reads {FORMAT}",
            "go on with the version that began it, or begin the run anew in another folder",
        )
    about = header.get("about", {})
    if not isinstance(about, dict):
        raise RunLogError(f"{path}, line 1: 'about' is no object", _DAMAGED)
    return History(version, about)


def _event(document: Mapping[str, Any]) -> Event:
    kind = document["event"]
    if kind == "asked":
        texts = document["architectures"]
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError("'architectures' is no list of texts")
        return Asked(int(document["number"]), tuple(texts))
    if kind == "told":
        return Told(Evaluation.from_json(document["evaluation"]))
    if kind == "corrected":
        return Corrected(Evaluation.from_json(document["evaluation"]))
    if kind == "note":
        return Note(str(document["name"]), document["data"])
    raise ValueError(f"no such event as {kind!r}")
