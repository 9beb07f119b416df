"""Finished jobs on the agent's disk, until the orchestrator has them on its own."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Dict, Optional

from google.protobuf.message import DecodeError

from protos import contract
from protos.gauntlet.v1 import agent_pb2

log = logging.getLogger(__name__)

_MESSAGE = "finished.pb"


class Spool:
    """A folder for each finished job: the message, and the files that it names, by digest.

    Written without fsync: it outlives the process, which is what dies. A power cut costs a measurement, not a job:
    the orchestrator gives it out again.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        # Jobs by lease, as they were offered; those that could not be written stay in memory alone.
        self._finished: Dict[str, agent_pb2.JobFinished] = {}
        for folder in sorted(root.iterdir()):
            self._read(folder)

    def put(self, finished: agent_pb2.JobFinished, files: Optional[Path]) -> None:
        """Keep a finished job; its folder of files, on the same disk, moves in."""
        self._finished[finished.lease_id] = finished
        target = self._folder(finished.lease_id)
        try:
            source = files if files is not None else self._root / f"{finished.lease_id}.new"
            source.mkdir(exist_ok=True)
            (source / _MESSAGE).write_bytes(finished.SerializeToString())
            os.rename(source, target)  # whole, or not at all
        except OSError as error:
            log.error("job %s is kept in memory only, its result is lost if this agent dies: %s", target.name, error)

    def remove(self, lease_id: str) -> None:
        """The orchestrator has it."""
        if self._finished.pop(lease_id, None) is not None:
            shutil.rmtree(self._folder(lease_id), ignore_errors=True)

    def all(self) -> Dict[str, agent_pb2.JobFinished]:
        """What waits for an acknowledgement, by lease."""
        return dict(self._finished)

    def file(self, lease_id: str, digest: str) -> Optional[Path]:
        """A file that the job names, if it is here."""
        path = self._folder(lease_id) / digest
        return path if contract.is_digest(digest) and path.is_file() else None

    def _folder(self, lease_id: str) -> Path:
        return self._root / lease_id

    def _read(self, folder: Path) -> None:
        try:
            finished = agent_pb2.JobFinished.FromString((folder / _MESSAGE).read_bytes())
        except (OSError, DecodeError) as error:
            log.warning("dropped %s, which holds no finished job: %s", folder, error)
        else:
            if finished.lease_id == folder.name:
                self._finished[finished.lease_id] = finished
                return
        shutil.rmtree(folder, ignore_errors=True)
