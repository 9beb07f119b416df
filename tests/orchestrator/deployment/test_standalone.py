"""A Python that is brought: whose it is then, and what it may say of itself."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from orchestrator.deployment.errors import UnfitError
from orchestrator.deployment.layout import Layout
from orchestrator.deployment.ports import Remote
from orchestrator.deployment.standalone import StandalonePython, version_of
from tests.orchestrator.deployment.sshd import Sshd, needs_sshd

pytestmark = needs_sshd


def archive(folder: Path, says: str) -> Path:
    """An archive of somebody else's, with a Python that only says this."""
    content = f"#!/bin/sh\necho {says}\n".encode()
    member = tarfile.TarInfo("python/bin/python3")
    member.size, member.mode, member.uid, member.gid = len(content), 0o755, 12345, 12345
    with tarfile.open(folder / "python.tar.gz", "w:gz") as tar:
        tar.addfile(member, io.BytesIO(content))
    return folder / "python.tar.gz"


def test_what_was_brought_belongs_to_who_brought_it(remote: Remote, sshd: Sshd, tmp_path: Path) -> None:
    brought = StandalonePython(remote, Layout(sshd.home_there), archive(tmp_path, "cpython 3 11"))
    path = brought.bring(lambda sent: None)
    # Only root could give it to the number in the archive: on a board that would be somebody.
    assert (os.stat(path).st_uid, os.stat(path).st_gid) == (os.geteuid(), os.getegid())
    assert version_of(remote, path, "it") == (3, 11)


@pytest.mark.parametrize("says", ["cpython 3 100000000", "cpython 3 x", "pypy 3 11", "cpython 3 11 11", ""])
def test_what_is_no_version_is_not_believed(remote: Remote, sshd: Sshd, tmp_path: Path, says: str) -> None:
    path = StandalonePython(remote, Layout(sshd.home_there), archive(tmp_path, says)).bring(lambda sent: None)
    with pytest.raises(UnfitError, match=r"python\.tar\.gz does not run on"):
        version_of(remote, path, "python.tar.gz")
