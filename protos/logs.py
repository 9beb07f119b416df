"""Logs of orchestrator and agent alike: lines for people, or one JSON object a line for programs.

{"time": "2026-11-21T16:30:00.123Z", "level": "info", "logger": "orchestrator.hub", "message": "…", "agent_id": "pi4"}

`job_id`, `device_id` and `agent_id` are there where they are known: given with a message (`extra={"job_id": …}`), or
for all that is logged inside `known`.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import IO, Dict, Iterator, Optional

FORMATS = ("text", "json")
_IDS = ("job_id", "device_id", "agent_id")
_KNOWN: ContextVar[Dict[str, str]] = ContextVar("known", default={})  # noqa: B039  # never changed, only replaced


@contextmanager
def known(**ids: str) -> Iterator[None]:
    """What is logged in here, tasks that are started in here included, is about these.

    Args:
        ids: `job_id`, `device_id`, `agent_id`.
    """
    token = _KNOWN.set({**_KNOWN.get(), **ids})
    try:
        yield
    finally:
        _KNOWN.reset(token)


class JsonFormatter(logging.Formatter):
    """A record as one JSON object on one line, whatever the message holds."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        at = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        fields = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        ids = {**_KNOWN.get(), **vars(record)}
        fields.update({name: str(ids[name]) for name in _IDS if ids.get(name)})
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def set_up(form: str, level: int, stream: Optional[IO[str]] = None) -> None:
    """Log to standard error, or to `stream`; to be called before gRPC is loaded.

    Args:
        form: one of `FORMATS`.
        level: the least that is logged.
        stream: where to.
    """
    if form == "json":
        # gRPC's core writes to standard error by itself, and no objects. What matters of it comes as a status.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    handler = logging.StreamHandler(stream)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    logging.basicConfig(level=level, handlers=[handler])
