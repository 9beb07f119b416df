"""Unpacking what somebody else packed, into no more memory than it may need: a kilobyte may unfold to a megabyte."""

from __future__ import annotations

import zlib


class InflateError(ValueError):
    """Not zlib's format, cut off, or larger than allowed."""


def inflate(packed: bytes, most_bytes: int) -> bytes:
    """Unpack a zlib stream (RFC 1950).

    Args:
        packed: the whole stream, and nothing behind it.
        most_bytes: that the content may have.

    Raises:
        InflateError: the stream is damaged, or holds more; memory for more was never taken.
    """
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, most_bytes + 1)
    except zlib.error as error:
        raise InflateError(f"not a zlib stream, or a damaged one: {error}") from error
    if len(content) > most_bytes:
        raise InflateError(f"it unpacks to more than {most_bytes} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise InflateError("the stream is cut off, or something follows it")
    return content
