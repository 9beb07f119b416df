"""What still runs from a folder is ended, whatever else goes on there."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from orchestrator.deployment.ports import Remote
from orchestrator.deployment.processes import end_processes
from tests.orchestrator.deployment.sshd import Sshd, needs_sshd

pytestmark = needs_sshd


@pytest.mark.parametrize("status", ["$?", "2"])
def test_what_names_a_folder_is_ended_also_while_others_end_by_themselves(
    remote: Remote, sshd: Sshd, status: str
) -> None:
    # As grep ends when a file that it was given is gone, whatever it found in the others.
    fake = sshd.home / "bin" / "grep"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\n{shutil.which("grep")} "$@"\nexit {status}\n')
    fake.chmod(0o755)
    sshd.profile(f"PATH={fake.parent}:$PATH")
    with subprocess.Popen(["sh", "-c", "read line", f"{sshd.home}/ours/it"], stdin=subprocess.PIPE) as process:
        end_processes(remote, f"{sshd.home}/ours/")
        assert process.wait(10) == -9
