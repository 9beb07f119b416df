"""Names are data: what a peer calls its model, device or failure does nothing to the terminal of who reads it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from gauntlet.cli.output import harmless, print_json, stdout
from orchestrator.client import Client
from orchestrator.client.specs import job_spec, latency_spec, measurement_spec
from protos.gauntlet.v1 import failure_pb2, fleet_pb2
from tests.orchestrator.lab import ScriptedAgent, running

#: Clears the screen; writes the clipboard; C1's CSI; rings, backs up; turns the writing; rich's markup, closed wrongly.
EVIL = "\x1b[2J\x1b]52;c;ZXZpbA==\x07\x9b31m\b\r\u202eevil[/nonsense][blink]:smiley:"
SEEN = "[2J]52;c;ZXZpbA==31mevil[/nonsense][blink]:smiley:"


def test_what_is_left_of_a_hostile_name_is_its_printable_part() -> None:
    assert harmless(EVIL) == SEEN
    assert harmless("two\nlines, ünïcödé ✓ 字") == "two\nlines, ünïcödé ✓ 字"


def test_the_table_of_jobs_keeps_its_form(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from gauntlet.render.jobs import jobs_table

    monkeypatch.setenv("COLUMNS", "200")
    row = fleet_pb2.JobSummary(
        job_id="1" * 32,
        model_name=EVIL[:14],
        device_id=EVIL[:4],
        failure_kind=failure_pb2.FAILURE_KIND_CRASHED,
        failure_message=EVIL,
        submitted_at="2026-01-01T00:00:00Z",
    )
    console = stdout()
    console.print(jobs_table([row]))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert harmless(printed) == printed
    assert SEEN in printed


async def test_gauntlet_jobs_and_its_json_say_a_hostile_name_and_do_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as address, Client(address) as client:
        agent = ScriptedAgent(address)
        await agent.hello()
        model = await client.put_bytes(b"a model", "model/tflite", EVIL)
        [submitted] = await client.submit([job_spec(measurement_spec(model, latency=latency_spec()))])
        lease = await agent.hear("lease")
        await agent.finish(
            lease,
            failure=failure_pb2.Failure(
                kind=failure_pb2.FAILURE_KIND_INVALID_MODEL, message=EVIL, remedy=EVIL, stderr_tail=EVIL, last_step=EVIL
            ),
        )
        for words in (["jobs"], ["jobs", "show"], ["jobs", "logs"], ["jobs", "--json"], ["jobs", "show", "--json"]):
            named = [submitted.job_id] if len(words) > 1 and words[1] != "--json" else []
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gauntlet", *words, *named, "--lab", address),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={"COLUMNS": "300", "PATH": "/usr/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"},
            )
            out, errors = await child.communicate()
            assert child.returncode == 0, errors.decode()
            text = out.decode()
            assert harmless(text) == text, words
            if "--json" in words:
                assert EVIL in strings(json.loads(text))
            else:
                assert SEEN[:20] in text, words


def strings(value: object) -> list[str]:
    """All texts in a JSON document."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []


def test_json_for_programs_keeps_the_name_and_escapes_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": EVIL})
    printed = capsys.readouterr().out
    assert harmless(printed) == printed
    assert json.loads(printed) == {"name": EVIL}
