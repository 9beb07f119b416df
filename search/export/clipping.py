"""Cutting off the largest weights before they are stored."""

from __future__ import annotations

import numpy as np

from search.export.errors import ExportError
from search.export.graph import Conv, Dense, Graph


def clip_weights(graph: Graph, share: float) -> None:
    """Cut each layer's weights to a share of the largest of them.

    A layer's steps follow from its largest weight, so that they become finer by that share, in the channels that had
    larger ones; and a memory cell that is stuck at its largest value (adSAF) stands for that much less. What is cut off
    is lost.

    Args:
        graph: whose weights, BatchNorm folded in, are replaced.
        share: of each layer's largest magnitude, above 0 and at most 1; 1 leaves all as they are.

    Raises:
        ExportError: no such share.
    """
    if not 0 < share <= 1:
        raise ExportError(f"clip: {share} is no share of the largest weight; give one above 0 and at most 1")
    if share == 1:
        return
    for node in graph.nodes:
        if isinstance(node, (Conv, Dense)):
            most = np.float32(share) * np.abs(node.weight).max(initial=0)
            node.weight = np.clip(node.weight, -most, most)
