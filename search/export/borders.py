"""How windows meet the borders of a map: torch pads by numbers, TFLite by the rules SAME and VALID."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.export.graph import Conv, Graph, Pool


def fits_same(graph: Graph, node: Conv | Pool) -> bool:
    """Whether TFLite's SAME does what the operation asks for, so that no operator for padding is needed."""
    _, _, height, width = graph.shapes[node.inputs[0]]
    _, _, rows, columns = graph.shapes[node.name]
    if isinstance(node, Conv):
        kernel, dilation = (node.weight.shape[2], node.weight.shape[3]), node.dilation
    else:
        if node.average and node.count_borders:
            return False  # SAME leaves the border out of an average
        kernel, dilation = node.kernel, (1, 1)
    return _is_same(height, rows, kernel[0], node.stride[0], dilation[0], node.borders.top) and _is_same(
        width, columns, kernel[1], node.stride[1], dilation[1], node.borders.left
    )


def _is_same(size: int, steps: int, kernel: int, stride: int, dilation: int, before: int) -> bool:
    """Whether SAME puts as many cells before the map, and makes as many steps, along one axis."""
    total = max((steps - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return steps == -(-size // stride) and total // 2 == before


def needs_rescaling(graph: Graph, node: Pool) -> bool:
    """Whether an average without its border must be taken with the border, as zeros, and corrected afterwards."""
    return node.average and bool(node.borders) and not node.count_borders and not fits_same(graph, node)


def border_factors(graph: Graph, node: Pool) -> NDArray[np.float32]:
    """That correction: cells of the window / cells of it within the map, (height, width) of the result."""
    _, _, height, width = graph.shapes[node.inputs[0]]
    _, _, rows, columns = graph.shapes[node.name]
    inside = np.outer(
        _cells_inside(rows, node.kernel[0], node.stride[0], node.borders.top, height),
        _cells_inside(columns, node.kernel[1], node.stride[1], node.borders.left, width),
    )
    factors: NDArray[np.float32] = (node.kernel[0] * node.kernel[1] / inside).astype(np.float32)
    return factors


def _cells_inside(steps: int, kernel: int, stride: int, before: int, size: int) -> NDArray[np.int64]:
    first = np.arange(steps) * stride - before
    return np.minimum(first + kernel, size) - np.maximum(first, 0)
