"""Which operations no runtime can run in which numbers: refused before a file is written.

Measured on LiteRT 2.3.0 and tflite-runtime 2.14.0, with and without XNNPACK: every operation of
:mod:`search.export.graph` in every precision, and every sequence of four precisions along a chain of convolutions. All
ran, and came as close to torch as their numbers allow, but for what is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from search.export.errors import ExportError
from search.export.graph import Activation, Conv, Dense, Graph, Unary
from search.export.precision import Form, Precision


def check_kernels(graph: Graph, precisions: Mapping[str, Precision]) -> None:
    """Refuse what would be a file that no runtime can run, or that computes something else.

    Args:
        graph: the network.
        precisions: of every value.

    Raises:
        ExportError: an operation in numbers for which there is no kernel, or weights that they cannot hold.
    """
    for node in graph.nodes:
        if isinstance(node, (Conv, Dense)) and precisions[node.name] is Precision.FLOAT16:
            largest, most = float(np.abs(node.weight).max(initial=0)), float(np.finfo(np.float16).max)
            if largest > most:
                raise ExportError(
                    f"{node.name}: a weight of {largest:.3g} (BatchNorm folded in) is beyond float16, which ends at "
                    f"{most:.0f}; take float32"
                )
        hard_swish = isinstance(node, Unary) and node.kind is Activation.HARDSWISH
        if hard_swish and precisions[node.name].form is Form.INT16:
            raise ExportError(
                f"{node.name}: runtimes have no hard swish of 16 bits; give it another precision in `layers`, or take "
                "ReLU or ReLU6"
            )
