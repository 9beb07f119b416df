"""Small files that travel with a lease: an agent that has never seen a model is spared the round trip to fetch it."""

from __future__ import annotations

from collections import OrderedDict
from weakref import WeakKeyDictionary

from orchestrator.artifacts import ArtifactStore
from orchestrator.registry import Session
from protos import artifacts as job_artifacts
from protos.gauntlet.v1 import agent_pb2, measurement_pb2

#: One message stays far below its limit of 4 MB, and reading a file shorter than the way to a thread and back.
FILE_BYTES = 512 * 1024
TOGETHER_BYTES = 1024 * 1024
#: Digests remembered of each session.
REMEMBERED = 4096


class Attachments:
    """Knows what each session was sent or told to fetch.

    It forgets with the session: an agent that comes back may be sent a file once more, which costs a moment. One that
    has thrown a file away since fetches it, as it does whatever is not attached.

    Args:
        artifacts: where the files are.
    """

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self._sent: WeakKeyDictionary[Session, OrderedDict[str, None]] = WeakKeyDictionary()

    def of(self, session: Session, spec: measurement_pb2.MeasurementSpec) -> list[agent_pb2.AttachedFile]:
        """What to send along with a job of this specification; the agent then has all of its files."""
        sent = self._sent.setdefault(session, OrderedDict())
        files, room = [], TOGETHER_BYTES
        for ref in job_artifacts.needed(spec):
            known = ref.digest in sent
            sent[ref.digest] = None
            sent.move_to_end(ref.digest)
            if len(sent) > REMEMBERED:
                sent.popitem(last=False)
            content = None if known else self._artifacts.read_small(ref.digest, min(FILE_BYTES, room))
            if content is not None:
                room -= len(content)
                files.append(agent_pb2.AttachedFile(ref=ref, content=content))
        return files
