"""Logs as JSON: every line is an object, whatever was logged."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from typing import Any, Dict, List

import pytest

from protos import logs


class Written:
    """A logger of its own, and the lines that it wrote."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(logs.JsonFormatter())
        self.log = logging.Logger("test.logger")
        self.log.addHandler(handler)

    def lines(self) -> List[Dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]


def test_a_line_tells_when_how_grave_who_and_what() -> None:
    written = Written()
    written.log.warning("%d of %d", 1, 2)
    [line] = written.lines()
    assert line.pop("time")[-5:-1].lstrip(".").isdigit()
    assert line == {"level": "warning", "logger": "test.logger", "message": "1 of 2"}


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[2J", '"quoted"', "µs, 温度", "\ud800", "\u2028"])
def test_whatever_is_said_stays_on_its_line(text: str) -> None:
    written = Written()
    written.log.info("%s", text, extra={"job_id": text})
    [line] = written.lines()
    assert (line["message"], line["job_id"]) == (text, text)


def test_an_exception_stays_on_its_line_too() -> None:
    written = Written()
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        written.log.exception("failed")
    [line] = written.lines()
    assert "first\nsecond" in line["exception"]
    assert line["exception"].startswith("Traceback")


def test_ids_are_there_where_they_are_known_and_nowhere_else() -> None:
    written = Written()
    with logs.known(agent_id="a1"):
        with logs.known(job_id="j1", device_id="d1"):
            written.log.info("both")
            written.log.info("its own", extra={"device_id": "d2"})
        written.log.info("agent")
    written.log.info("none", extra={"job_id": ""})
    ids = [{key: line[key] for key in line if key.endswith("_id")} for line in written.lines()]
    assert ids == [
        {"job_id": "j1", "device_id": "d1", "agent_id": "a1"},
        {"job_id": "j1", "device_id": "d2", "agent_id": "a1"},
        {"agent_id": "a1"},
        {},
    ]


def test_a_task_knows_what_was_known_where_it_was_started() -> None:
    written = Written()

    async def work() -> None:
        written.log.info("in the task")

    async def start() -> None:
        with logs.known(job_id="j1"):
            task = asyncio.ensure_future(work())
        await task
        written.log.info("outside")

    asyncio.run(start())
    inside, outside = written.lines()
    assert inside["job_id"] == "j1"
    assert "job_id" not in outside
