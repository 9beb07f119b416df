"""Frames on the pipes between agent and worker: four bytes of length, big-endian, and a protobuf message."""

from __future__ import annotations

import os
from typing import Optional, Type, TypeVar

from google.protobuf.message import DecodeError, Message

HEADER_BYTES = 4
#: Specifications and results travel here; samples and data sets are files.
MAX_FRAME_BYTES = 16 * 1024 * 1024

M = TypeVar("M", bound=Message)


class ProtocolError(Exception):
    """The peer does not speak the protocol."""


def frame(message: Message) -> bytes:
    """A message as it goes over the pipe."""
    body = message.SerializeToString()
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def body_length(header: bytes) -> int:
    """Length of the message that follows.

    Raises:
        ProtocolError: more than a frame may hold.
    """
    length = int.from_bytes(header, "big")
    if length > MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {length} bytes was announced, at most {MAX_FRAME_BYTES} are allowed")
    return length


def parse(kind: Type[M], body: bytes) -> M:
    """The message in a frame's body.

    Raises:
        ProtocolError: there is none of this kind in it.
    """
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise ProtocolError(f"no {kind.__name__} in a frame of {len(body)} bytes") from error
    return message


def send(fd: int, message: Message) -> None:
    """Write one message; blocks while the pipe is full."""
    data = memoryview(frame(message))
    while data:
        data = data[os.write(fd, data) :]


def receive(fd: int, kind: Type[M]) -> Optional[M]:
    """Wait for one message; None when the peer is gone.

    Raises:
        ProtocolError: what came is no such message.
    """
    header = _read(fd, HEADER_BYTES)
    if header is None:
        return None
    body = _read(fd, body_length(header))
    return None if body is None else parse(kind, body)


def _read(fd: int, count: int) -> Optional[bytes]:
    parts = b""
    while len(parts) < count:
        part = os.read(fd, count - len(parts))
        if not part:
            return None
        parts += part
    return parts
