"""Files that a measurement hands back, named by their content."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from protos.contract import digest_of_bytes
from protos.gauntlet.v1 import artifact_pb2

# Samples are noise in their low bits: more effort gains a percent.
_LEVEL = 1


def write_artifact(folder: Path, values: NDArray[Any], media_type: str, name: str) -> artifact_pb2.ArtifactRef:
    """Write an array's bytes, zlib-compressed, to the file in `folder` that its digest names."""
    content = zlib.compress(values.tobytes(), _LEVEL)
    digest = digest_of_bytes(content)
    (folder / digest).write_bytes(content)
    return artifact_pb2.ArtifactRef(digest=digest, size_bytes=len(content), media_type=media_type, name=name)
