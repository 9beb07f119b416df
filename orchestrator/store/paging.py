"""What bounds a listing: no more rows than are kept of a kind, and no more on a page than fit into one message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.message import Message

from orchestrator.store.base import StoreError
from protos.contract import MAX_MESSAGE_BYTES

_Row = TypeVar("_Row", bound=Message)
#: The rest is for what lies around the rows.
_ROOM_BYTES = MAX_MESSAGE_BYTES * 7 // 8


class LimitError(StoreError):
    """More than the store keeps of one kind; nothing of it was kept."""


def fitting(rows: Iterable[_Row]) -> list[_Row]:
    """The first of these rows that fit together; at least one, which whoever wrote it has bounded."""
    page: list[_Row] = []
    taken = 0
    for row in rows:
        taken += row.ByteSize() + 8  # its tag and length
        if page and taken > _ROOM_BYTES:
            break
        page.append(row)
    return page
