"""How tensors of a file are called where faults are named after them."""

from __future__ import annotations

from collections import Counter

from fault_injection.tflite.schema import Model, TensorType


class SiteNames:
    """The name of any tensor: as in the file; where that is empty or not unique, with "#graph.tensor" added.

    Args:
        model: whose tensors are named.
    """

    def __init__(self, model: Model) -> None:
        self._graphs = model.subgraphs
        names = Counter(tensor.name for graph in model.subgraphs for tensor in graph.tensors)
        self._repeated = {name for name, count in names.items() if count > 1}

    def __call__(self, graph: int, tensor: int) -> str:
        """The name of a tensor, by its number and that of its graph."""
        name = self._graphs[graph].tensors[tensor].name
        return f"{name or ''}#{graph}.{tensor}" if not name or name in self._repeated else name


def type_name(number: int) -> str:
    """What an element type is called: "int8", or "of type 42"."""
    return TensorType(number).name.lower() if number in list(TensorType) else f"of type {number}"
