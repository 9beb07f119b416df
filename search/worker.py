"""A process that does work for another one (see `search.executors`), which its standard input and output belong to.

It ends when its standard input does, in the middle of a task if need be: then its parent is gone.
"""

from __future__ import annotations

import os
import pickle
import queue
import struct
import sys
import threading
import traceback
from types import FunctionType
from typing import IO, Any

#: A message between the processes begins with its length.
_LENGTH = struct.Struct("<Q")


def main() -> None:
    """Do what comes, one task at a time, and say what came of it."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What a user's builder prints must not end up among the answers, nor may it read what is meant for us.
    os.dup2(2, 1)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    work: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, work), daemon=True).start()
    while True:
        write_message(answers, _answer(work.get()))


def write_message(file: IO[bytes], content: bytes) -> None:
    """Send bytes to the other process."""
    file.write(_LENGTH.pack(len(content)))
    file.write(content)
    file.flush()


def read_message(file: IO[bytes]) -> bytes:
    """The next message of the other process.

    Raises:
        EOFError: it is gone.
    """
    head = file.read(_LENGTH.size)
    if len(head) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        content = file.read(length)
        if len(content) == length:
            return content
    raise EOFError("the other process is gone")


def _read(requests: IO[bytes], work: queue.SimpleQueue[bytes]) -> None:
    while True:
        try:
            work.put(read_message(requests))
        except EOFError:
            sys.stderr.flush()
            os._exit(0)  # the main thread may be computing for an hour yet


def _answer(request: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(request)  # noqa: S301  # from our parent alone
        return pickle.dumps((True, function(*args, **kwargs)))
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))
        return _failure(error)


def _failure(error: Exception) -> bytes:
    """An exception as an answer, in words if it cannot travel."""
    try:
        answer = pickle.dumps((False, _Travelling(error)))
        pickle.loads(answer)  # noqa: S301
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return answer


class _Travelling:
    """Pickled, becomes the exception.

    By itself an exception is made again from what it gave to `Exception`, which its own `__init__` may not take.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        kind = type(self._error)
        if isinstance(kind.__init__, FunctionType):
            return _remade, (kind, self._error.args, self._error.__dict__)
        return self._error.__reduce__()  # type: ignore[return-value]  # never a name


def _remade(kind: type[Exception], args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
