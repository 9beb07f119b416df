"""Who this agent is, over restarts: its id, its process's epoch, and the folder that holds both."""

from __future__ import annotations

import os
import re
import secrets
import socket
from pathlib import Path
from typing import IO

from protos import contract, folderlock


class StateError(Exception):
    """The state folder cannot be used; a second line says what to do."""


class StateFolder:
    """The agent's folder, owned by one process at a time.

        agent.lock   held while the agent runs
        agent-id     this agent's id, kept
        epoch        number of starts
        cache/       artifacts by digest
        spool/       finished jobs that the orchestrator has not acknowledged
        work/        output of running measurements; emptied at start
        fitness.json what is known of the device's fitness
        credentials.json  of a lab that it has joined

    Raises:
        StateError: another agent runs there, or the folder cannot be written.
    """

    def __init__(self, root: Path, agent_id: str = "") -> None:
        self.root = root
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock: IO[str] = lock(root / "agent.lock")
            self.agent_id = keep_id(root, agent_id or known_id(root) or _id_from(socket.gethostname()))
            self.epoch = self._next_epoch()
        except OSError as error:
            raise StateError(f"cannot use {root}: {error.strerror}\nchoose another with --state-dir") from error

    def close(self) -> None:
        """Let another agent have it."""
        self._lock.close()

    def _next_epoch(self) -> str:
        """Grows with each start; the random part tells a cloned card from its original."""
        file = self.root / "epoch"
        text = file.read_text(encoding="utf-8").strip() if file.exists() else "0"
        count = int(text) + 1 if text.isdigit() else 1
        _replace(file, str(count))
        return f"{count}-{secrets.token_hex(8)}"


def known_id(root: Path) -> str:
    """The agent's id as it was kept; empty before there is one."""
    file = root / "agent-id"
    return file.read_text(encoding="utf-8").strip() if file.exists() else ""


def keep_id(root: Path, agent_id: str) -> str:
    """Keep the agent's id for later starts.

    Raises:
        StateError: it is none.
    """
    if not contract.is_id(agent_id):
        raise StateError(f"{agent_id!r} is no agent id\nuse 1-64 letters, digits, '.', '_' or '-'")
    if agent_id != known_id(root):
        _replace(root / "agent-id", agent_id)
    return agent_id


def lock(path: Path) -> IO[str]:
    """Own a state folder by its lock file, until the file is closed.

    Raises:
        StateError: a running agent owns it.
    """
    try:
        return folderlock.own(path)
    except folderlock.FolderInUseError as error:
        raise StateError(
            f"{path.parent} belongs to a running agent (process {error.owner})\n"
            "stop it, or give this one its own --state-dir"
        ) from error


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _id_from(hostname: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", hostname).strip("-._")[:64] or "agent"
