"""What a board says of its certificate is believed when it makes sense."""

from __future__ import annotations

import json

import pytest

from orchestrator.deployment.enrolment import Enrolment
from orchestrator.deployment.lab import Held
from orchestrator.deployment.layout import Layout
from orchestrator.deployment.ports import Remote
from tests.orchestrator.deployment.sshd import Sshd, needs_sshd

pytestmark = needs_sshd
HELD = Held("pi4", "authority", "chain", "lab:50151")


@pytest.mark.parametrize(
    ("said", "held"),
    [
        (json.dumps(vars(HELD)), HELD),
        (json.dumps(vars(HELD) | {"authority": 5}), None),
        (json.dumps(vars(HELD) | {"chain": None}), None),
        (json.dumps([*vars(HELD).values()]), None),
        ("", None),
        ("{", None),
    ],
)
def test_a_certificate_that_makes_no_sense_is_none(remote: Remote, sshd: Sshd, said: str, held: Held | None) -> None:
    python = sshd.home / "python"
    python.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    python.chmod(0o755)
    assert Enrolment(remote, Layout(sshd.home_there), f"{sshd.home_there}/python").read() == held
