"""A training's figures for TensorBoard, in the files that it reads.

Such a file is a row of records, each of them a message ``Event`` between its length and checksums (TFRecord)::

    ┌────────────┬──────────────────┬───────┬─────────────────┐
    │ length, u64│ checksum of that │ Event │ checksum of that│
    └────────────┴──────────────────┴───────┴─────────────────┘

    Event    1: wall_time, double   2: step, int64   3: file_version, string   5: Summary   7: SessionLog
    Summary  1: Value, each         Value  1: tag, string   2: simple_value, float
    SessionLog  1: status, 1 = START: whatever an earlier file says of this step and of later ones is taken back

That is little enough to be written here; TensorBoard itself is needed only by who looks at it.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from search.supernet.settings import Progress

_VERSION = b"brain.Event:2"
_CASTAGNOLI = 0x82F63B78
_DOUBLE, _VARINT, _BYTES, _FLOAT = 1, 0, 2, 5
"""How protocol buffers store a field."""


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_CASTAGNOLI if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


class ScalarLog:
    """A file of scalars over steps.

    Args:
        folder: of the training; every life of it adds a file there.
        step: the first that will be told.
        clock: seconds since 1970.

    Raises:
        OSError: it cannot be written to.
    """

    def __init__(self, folder: Path, step: int, clock: Callable[[], float] = time.time) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        name = f"events.out.tfevents.{clock():.6f}.{os.getpid()}"
        # Unbuffered: a training that is killed leaves whole records, but for the last one at worst.
        self._file = (folder / name).open("wb", buffering=0)
        self._write(_field(3, _BYTES, _VERSION))
        self._write(_field(2, _VARINT, step), _field(7, _BYTES, _field(1, _VARINT, 1)))

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step, by their names."""
        parts = [
            _field(1, _BYTES, _field(1, _BYTES, name.encode()) + _field(2, _FLOAT, struct.pack("<f", value)))
            for name, value in values.items()
        ]
        self._write(_field(2, _VARINT, step), _field(5, _BYTES, b"".join(parts)))

    def close(self) -> None:
        """Nothing more will come."""
        self._file.close()

    def _write(self, *fields: bytes) -> None:
        event = _field(1, _DOUBLE, struct.pack("<d", self._clock())) + b"".join(fields)
        length = struct.pack("<Q", len(event))
        self._file.write(length + _checksum(length) + event + _checksum(event))


class ProgressLog:
    """Writes down what a training tells while it goes on; pass it as ``progress``.

    Args:
        folder: see :class:`ScalarLog`; nothing is written before the first step.
        then: is told, too.
    """

    def __init__(self, folder: Path, then: Callable[[Progress], None] | None = None) -> None:
        self._folder, self._then = folder, then
        self._log: ScalarLog | None = None

    def __call__(self, progress: Progress) -> None:
        """A step was done.

        Raises:
            OSError: the file cannot be written to.
        """
        if self._log is None:
            self._log = ScalarLog(self._folder, progress.step)
        values = {
            "loss": progress.loss,
            "accuracy": progress.accuracy,
            "learning_rate": progress.learning_rate,
            "images_per_s": progress.images_per_s,
        }
        self._log.note(progress.step, values)
        if progress.step == progress.steps:
            self._log.close()
            self._log = None
        if self._then is not None:
            self._then(progress)


def _field(number: int, kind: int, value: bytes | int) -> bytes:
    key = _varint(number << 3 | kind)
    if isinstance(value, int):
        return key + _varint(value)
    return key + (_varint(len(value)) if kind == _BYTES else b"") + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _checksum(data: bytes) -> bytes:
    """CRC-32C, masked as TFRecord wants it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
