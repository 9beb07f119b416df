"""In which numbers each part of a network computes, where one file may mix them.

=========  ==================  ===========================================  ========================================
precision  weights             values between operations                    computes in
=========  ==================  ===========================================  ========================================
int8       int8                int8, asymmetric                             32-bit integers
int16x8    int8                int16, symmetric                             64-bit integers, for the sake of the bias
float16    float16             float32                                      float32: the file is half the size
float32    float32             float32                                      float32
=========  ==================  ===========================================  ========================================
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from search.export.errors import ExportError
from search.export.graph import Graph, Layer, Node


class Form(enum.Enum):
    """How a value between operations is stored."""

    FLOAT32 = "float32"
    INT8 = "int8"
    INT16 = "int16"


class Precision(enum.StrEnum):
    """The numbers of a layer; see the module."""

    INT8 = "int8"
    INT16X8 = "int16x8"
    FLOAT16 = "float16"
    FLOAT32 = "float32"

    @property
    def form(self) -> Form:
        """Of the values that it reads and writes."""
        return {Precision.INT8: Form.INT8, Precision.INT16X8: Form.INT16}.get(self, Form.FLOAT32)


MIXED = "mixed"
"""What a file is called whose layers differ."""


def parse_precision(text: str) -> Precision:
    """A precision by its name.

    Raises:
        ExportError: there is none of that name.
    """
    try:
        return Precision(text)
    except ValueError as error:
        raise ExportError(f"no precision is called {text!r}; there are {', '.join(Precision)}") from error


def assign(graph: Graph, default: Precision, layers: Mapping[str, Precision]) -> dict[str, Precision]:
    """The precision of every value, by its name.

    What a path names has its precision, with all that is inside; of several the longest path counts. Other layers have
    the default, and other operations that of the layer that ran last among those that they read from: a sum goes on as
    the branch does that has just been computed, whatever came by the shortcut. The input arrives as its first
    reader wants it.

    Args:
        graph: the network.
        default: of layers that nothing names.
        layers: by the path of a torch module, such as ``layer1`` or ``layer1.0.conv1``.

    Raises:
        ExportError: a path that names nothing.
    """
    found: dict[str, Precision] = {}
    last: dict[str, int] = {graph.input: -1}
    named: set[str] = set()
    for place, node in enumerate(graph.nodes):
        path = max((path for path in layers if _inside(_path_of(node), path)), key=len, default=None)
        named.update(path for path in layers if _inside(_path_of(node), path))
        latest = max(node.inputs, key=last.__getitem__, default=graph.input)
        last[node.name] = place if isinstance(node, Layer) else last[latest]
        if path is not None:
            found[node.name] = layers[path]
        else:
            found[node.name] = default if isinstance(node, Layer) else found.get(latest, default)
    for path in layers:
        if path not in named:
            paths = dict.fromkeys(node.path for node in graph.nodes if isinstance(node, Layer))
            raise ExportError(f"layers: nothing in the network is called {path!r}; its layers are {', '.join(paths)}")
    found[graph.input] = next((found[node.name] for node in graph.consumers(graph.input)), default)
    return found


def summary(graph: Graph, precisions: Mapping[str, Precision]) -> str:
    """What a file is called: its layers' precision, or "mixed"."""
    present = {precisions[node.name] for node in graph.nodes if isinstance(node, Layer)} or set(precisions.values())
    return str(present.pop()) if len(present) == 1 else MIXED


def _path_of(node: Node) -> str:
    return node.path if isinstance(node, Layer) else node.name.partition(":")[0]


def _inside(path: str, outer: str) -> bool:
    return path == outer or path.startswith(f"{outer}.")
