"""The operator's guide: each alert has its section, and the commands that it names are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from device_agent.cli import _parser
from gauntlet.cli.app import app

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "operating.md").read_text()
#: At the beginning of a line, or behind what it is run as or in.
_PROGRAM = re.compile(r"(?:^|/opt/gauntlet/bin/|--rm lab |exec lab )(gauntlet(?:-agent)? .*)")


def commands() -> list[str]:
    """What the code blocks tell to run of our own programs."""
    blocks = re.findall(r"(?ms)^```\w*\n(.*?)^```$", GUIDE)
    lines = [line for block in blocks for line in block.splitlines()]
    return [found[1] for line in lines if (found := _PROGRAM.search(line))]


def parse(command: click.Command, name: str, words: list[str]) -> None:
    """As the command line would, without carrying it out."""
    context = command.make_context(name, words)
    if isinstance(command, click.Group):
        below, *rest = [*context._protected_args, *context.args]
        parse(command.commands[below], below, rest)


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_what_it_tells_to_type_is_understood(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    program, *words = shlex.split(line, comments=True)
    if program == "gauntlet-agent":
        _parser().parse_args(words)
    else:
        parse(typer.main.get_command(app), program, words)


def test_there_is_enough_to_type() -> None:
    assert len(commands()) >= 20


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    rules: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/gauntlet.rules.yml").read_text())
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    section = GUIDE[GUIDE.index("\n## Alerts\n") :].split("\n## ")[1]
    assert sorted(re.findall(r"(?m)^### (\w+)$", section)) == sorted(alerts)


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        page, _, anchor = target.partition("#")
        text = (ROOT / "docs" / page).read_text() if page else GUIDE
        headings = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"(?m)^#+ (.*)$", text)}
        assert not anchor or anchor in headings, target


def test_the_files_that_it_installs_are_there() -> None:
    named = set(re.findall(r"\bdeploy/[a-z./-]+[a-z]", GUIDE))
    assert len(named) >= 5
    assert all((ROOT / name).exists() for name in named), named
