"""What `gauntlet lab init` does on the server: its authority, its names, and the first administrator's token."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.security import FOLDER
from orchestrator.security.access import Access
from orchestrator.security.authority import Authority, AuthorityError
from orchestrator.store.base import StoreError
from orchestrator.store.sql import SqlStore
from protos.gauntlet.v1 import admin_pb2


class SetupError(Exception):
    """The lab cannot be set up; a second line says what to do."""


@dataclass(frozen=True)
class SetUp:
    """What was made.

    Attributes:
        folder: of the authority.
        names: by which the server may be reached.
        token: joins as the administrator "admin"; told this once.
    """

    folder: Path
    names: Sequence[str]
    token: str


async def set_up(lab: Path, names: Sequence[str], token_life_s: float) -> SetUp:
    """Make what is missing of a lab's authority, add the names, and make a token for an administrator.

    Raises:
        SetupError: the folder or its store cannot be used, or a name is none.
    """
    try:
        authority = Authority.create(lab, time.time)
        known = authority.add_server_names(names)
        store = await SqlStore.open(lab / "lab.sqlite")
    except (AuthorityError, StoreError) as error:
        raise SetupError(str(error)) from error
    try:
        request = admin_pb2.CreateTokenRequest(
            kind=admin_pb2.TOKEN_KIND_JOIN, role=admin_pb2.ROLE_ADMIN, name="admin", lifetime_s=token_life_s
        )
        _, text = await Access(authority, store.security, time.time).create_token(request, "gauntlet lab init")
    except StoreError as error:
        raise SetupError(str(error)) from error
    finally:
        await store.close()
    return SetUp(lab / FOLDER, known, text)
