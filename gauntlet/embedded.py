"""The embedded lab: an orchestrator and a local agent as child processes of whoever needs a measurement.

Both children read a FIFO, their lifeline, as standard input. Every command that uses the lab holds its write end; the
kernel ends it with the last of them, SIGKILL included, and the children go. So a second command in the same folder
attaches to the lab that runs there and may outlive the one that started it.

    gauntlet (starts) ──holds──▶ lifeline ──stdin──▶ orchestrator ◀──unix socket── agent ◀── lifeline
    gauntlet (attaches) ──holds──▶ ┘

Never multiprocessing: spawn would run the user's unguarded script again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from gauntlet import folder as lab_folder
from gauntlet.children import Child
from gauntlet.errors import LabError

Commands = Callable[[str, Path, bool], Mapping[str, list[str]]]
_ATTACH_TIMEOUT_S = 10.0


def commands(address: str, folder: Path, measures: bool) -> dict[str, list[str]]:
    """The children of a lab, by name.

    Args:
        address: where the orchestrator listens.
        folder: the lab's folder.
        measures: with a local agent.
    """
    # No other device could take the jobs of one in quarantine; what is suspect is marked all the same.
    options = ["--address", address, "--dir", str(folder), "--quarantine", "false", "--lifeline"]
    children = {"orchestrator": [*_module("orchestrator"), *options]}
    if measures:
        # One name everywhere, so that an example's objectives ("latency_s@local") fit every machine.
        state = ["--state-dir", str(folder / "agent"), "--agent-id", "local", "--allow-setup"]
        children["agent"] = [*_module("device_agent"), "run", "--orchestrator", address, *state, "--lifeline"]
    return children


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]


class EmbeddedLab:
    """A lab for as long as this object is open. Use `EmbeddedLab.start`, and `close` or `with`.

    Attributes:
        folder: the lab's folder.
        address: of its orchestrator.
        owned: False when another command had started it.
        has_agent: a local agent joins by itself. A server's agents come when they come.
    """

    def __init__(
        self, folder: Path, record: lab_folder.LabRecord, lifeline: int | None, lock: int | None, children: list[Child]
    ) -> None:
        self.folder = folder
        self.address = record.address
        self.owned = lock is not None
        self.has_agent = record.measures and bool(record.lifeline)
        self._lifeline = lifeline
        self._lock = lock
        self._children = children

    @classmethod
    def start(cls, folder: Path, *, measures: bool = True, children: Commands = commands) -> EmbeddedLab:
        """Attach to the lab that runs in `folder`, or start one. Does not wait until it answers.

        Args:
            folder: made if it does not exist.
            measures: with a local agent; False to read the books only.
            children: the commands of the children, for tests.

        Raises:
            UsageError: the folder cannot be used.
            LabError: the folder is held and nobody answers for it, or a child cannot be started.
        """
        folder = lab_folder.prepare(folder)
        deadline_s = time.monotonic() + _ATTACH_TIMEOUT_S
        while True:
            if (lock := lab_folder.try_lock(folder)) is not None:
                return cls._own(folder, lock, measures, children)
            record = lab_folder.read_record(folder)
            if record is not None and (record.measures or not measures):
                with contextlib.suppress(OSError):
                    # ENXIO: nobody reads it, the lab is just starting or ending.
                    lifeline = os.open(record.lifeline, os.O_WRONLY | os.O_NONBLOCK) if record.lifeline else None
                    return cls(folder, record, lifeline, None, [])
            if time.monotonic() > deadline_s:
                holder = f" (process {record.pid})" if record else ""
                raise LabError(
                    f"the lab folder {folder} is held by another command{holder} that does not share it",
                    "wait for it to end, or choose another folder with --lab-dir",
                )
            time.sleep(0.05)

    @classmethod
    def _own(cls, folder: Path, lock: int, measures: bool, commands_of: Commands) -> EmbeddedLab:
        lab_folder.clear_record(folder)
        runtime = lab_folder.make_runtime_folder()
        fifo = runtime / lab_folder.LIFELINE
        os.mkfifo(fifo, 0o600)
        address = f"unix:{runtime / 'lab.sock'}"
        # A FIFO opens for writing only while somebody reads it; this reader is gone before anything is written.
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        lifeline = os.open(fifo, os.O_WRONLY)
        record = lab_folder.LabRecord(os.getpid(), address, str(runtime), str(fifo), measures)
        children = [
            Child(
                name,
                command,
                folder=folder,
                log=folder / f"{name}.log",
                lifeline=fifo,
                environment=child_environment(),
                inherit=[lock],
            )
            for name, command in commands_of(address, folder, measures).items()
        ]
        lab = cls(folder, record, lifeline, lock, children)
        try:
            lab_folder.write_record(folder, record)
            for child in children:
                child.start()
        except OSError as error:
            lab.close()
            raise LabError(f"cannot start the lab in {folder}: {error}", "is the disk full?") from error
        finally:
            os.close(reader)
        return lab

    def check(self) -> None:
        """Is it still well?

        Raises:
            LabError: a child has ended for good; its last words are the error's detail.
        """
        for child in self._children:
            if child.failure:
                raise LabError(f"the lab's {child.name} {child.failure}", f"see {child.log}", child.log_tail())

    def has_ended(self) -> bool:
        """Has the lab that we attached to ended? It may do so at the very moment at which we attach."""
        if self.owned:
            return False
        lock = lab_folder.try_lock(self.folder)
        if lock is None:
            return False
        os.close(lock)
        return True

    def log_tail(self, name: str) -> str:
        """Last lines of the log of the child with this name."""
        return next((child.log_tail() for child in self._children if child.name == name), "")

    def pids(self) -> dict[str, int | None]:
        """Process ids of the children that this object supervises, by name."""
        return {child.name: child.pid for child in self._children}

    def close(self) -> None:
        """Let the lab go. It ends here unless another command uses it; then it ends with that one."""
        for child in self._children:
            child.leave()  # first of all: none that ends now is to be started again
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        if self._lock is None:
            return
        record = lab_folder.read_record(self.folder)
        if record is None or not self._children or not _has_writer(Path(record.lifeline)):
            for child in self._children:
                child.close()
            lab_folder.clear_record(self.folder)
        os.close(self._lock)
        self._lock = None

    def __enter__(self) -> EmbeddedLab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def child_environment() -> dict[str, str]:
    """The environment of a child: it imports the very installation that this process runs from.

    The current directory stays off the path, and our own folder comes first on it, so that a user's `search/` beside
    his script shadows nothing, in an editable install either.
    """
    ours = str(Path(__file__).resolve().parent.parent)
    theirs = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join([ours, theirs] if theirs else [ours]),
        # A crash must leave its words in the log.
        "PYTHONUNBUFFERED": "1",
    }


def _has_writer(fifo: Path) -> bool:
    """Does any process hold the write end? An empty FIFO reads as its end without a writer, and blocks with one."""
    try:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return os.read(reader, 1) != b""
    except BlockingIOError:
        return True
    finally:
        os.close(reader)
