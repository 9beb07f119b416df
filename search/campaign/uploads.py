"""What every candidate is measured with: images, labels and reference outputs as artifacts of the lab."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos import dataset
from protos.gauntlet.v1 import artifact_pb2
from search.campaign.candidates import REFERENCE_IMAGES, Candidate
from search.campaign.config import CampaignConfig
from search.campaign.measurements import DataSets
from search.data import Data, Split
from search.fleet import Fleet

#: Of a recorded table: it was measured with images of its own.
NO_DATA = DataSets(artifact_pb2.ArtifactRef(), artifact_pb2.ArtifactRef())


async def data_sets(client: Fleet, config: CampaignConfig, data: Data | None, part: str) -> DataSets:
    """Labelled images for clean accuracy and for accuracy under faults.

    Args:
        client: of the lab.
        config: says how many.
        data: whose; None for a recorded table.
        part: "validation", by which candidates are chosen, or "test", on which winners are reported.
    """
    if data is None:
        return NO_DATA
    split = data.parts[part]
    return DataSets(
        await _images(client, data.name, split, config.measure.images, part),
        await _images(client, data.name, split, config.faults.images, f"{part}-faults"),
    )


async def reference(client: Fleet, data: Data | None, candidate: Candidate) -> artifact_pb2.ArtifactRef | None:
    """What a candidate has to answer before it is timed; None where nothing is known."""
    if data is None or not candidate.reference:
        return None
    images = _channels_last(data.validation.head(REFERENCE_IMAGES))
    outputs: dict[str, NDArray[Any]] = dict(candidate.reference)
    return await _put(
        client, dataset.DataSet({"input": images}, outputs=outputs, meta={"name": "outputs on the host"}), "reference"
    )


async def _images(client: Fleet, name: str, split: Split, count: int, part: str) -> artifact_pb2.ArtifactRef:
    head = split.head(count)
    labelled = dataset.DataSet(
        {"input": _channels_last(head)}, labels=head.labels.numpy(), meta={"name": f"{name} {part}"}
    )
    return await _put(client, labelled, part)


def _channels_last(split: Split) -> NDArray[np.float32]:
    return np.ascontiguousarray(split.images.numpy().transpose(0, 2, 3, 1))


async def _put(client: Fleet, data: dataset.DataSet, name: str) -> artifact_pb2.ArtifactRef:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.npz"
        dataset.save(path, data)
        return await client.put_file(path, "dataset/npz")
