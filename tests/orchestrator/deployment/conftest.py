"""What the tests of deployment share: boards to deploy to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.deployment.dialing import Dialer
from orchestrator.deployment.ports import Remote
from tests.orchestrator.deployment.sshd import Sshd


@pytest.fixture
def make_sshd(tmp_path: Path) -> Iterator[Callable[..., Sshd]]:
    """Makes boards, all with the same client's key; arguments as of `Sshd`."""
    made: list[Sshd] = []

    def make(name: str = "board", **options: Any) -> Sshd:
        made.append(Sshd(tmp_path / "boards", tmp_path / "client_key", name, **options))
        return made[-1]

    yield make
    for board in made:
        board.close()


@pytest.fixture
def sshd(make_sshd: Callable[..., Sshd]) -> Sshd:
    """One board."""
    return make_sshd()


@pytest.fixture
def remote(sshd: Sshd, tmp_path: Path) -> Iterator[Remote]:
    """Logged in to it."""
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(sshd.known_hosts)
    with Dialer() as dialer, contextlib.closing(dialer.connect(sshd.host(known_hosts=(known_hosts,)))) as connection:
        yield connection
