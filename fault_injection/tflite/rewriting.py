"""Put operators into the graph of a model."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Optional

import numpy as np
from numpy.typing import NDArray

from fault_injection.tflite import schema as s
from fault_injection.tflite.codec import Record
from fault_injection.tflite.schema import BuiltinOperator, Model


class Rewriting:
    """The main graph while operators are put into it, each behind a tensor whose readers it turns to its own result.

    Args:
        model: changed in place.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.graph = model.subgraphs[0]
        self._signatures = [sig for sig in model.signature_defs or [] if sig.subgraph_index == 0]
        self._instead: Dict[int, int] = {}
        self._added: Dict[int, List[s.Operator]] = {}

    def follow(self, tensor: int, instead: int, operators: List[s.Operator]) -> None:
        """Put operators behind a tensor; whoever reads it shall read another instead."""
        self._instead[tensor] = instead
        self._added[tensor] = operators

    def finish(self) -> None:
        """Turn all readers, the outputs of graph and signatures among them, and put the operators where they run."""
        graph, operators = self.graph, []
        graph.outputs = self._turned(graph.outputs)
        for signature in self._signatures:
            for output in signature.outputs or []:
                output.tensor_index = self._instead.get(output.tensor_index, output.tensor_index)
        for operator in graph.operators:
            operator.inputs = self._turned(operator.inputs or [])
            operators.append(operator)
            for tensor in operator.outputs or []:
                operators += self._added.get(tensor, [])
        graph.operators = operators

    def _turned(self, tensors: List[int]) -> List[int]:
        return [self._instead.get(tensor, tensor) for tensor in tensors]

    def tensor(self, like: s.Tensor, name: str, **changes: object) -> int:
        """A tensor that is computed."""
        # A computed tensor's buffer is empty, so that its likes can share it.
        self.graph.tensors.append(dataclasses.replace(like, name=name, **changes))  # type: ignore[arg-type]
        return len(self.graph.tensors) - 1

    def constant(self, like: s.Tensor, name: str, content: NDArray[Any]) -> int:
        """A tensor that holds what it holds, of the type and scale of another."""
        self._model.buffers.append(s.Buffer(data=np.ascontiguousarray(content).reshape(-1).view(np.uint8)))
        index = self.tensor(like, name, buffer=len(self._model.buffers) - 1)
        tensor = self.graph.tensors[index]
        tensor.shape, tensor.shape_signature = list(content.shape), None
        return index

    def input(self, like: s.Tensor, name: str, **changes: object) -> int:
        """An input of the model."""
        index = self.tensor(like, name, **changes)
        self.graph.inputs.append(index)
        for signature in self._signatures:
            signature.inputs = [*(signature.inputs or []), s.TensorMap(name=name, tensor_index=index)]
        return index

    def operator(
        self,
        code: BuiltinOperator,
        inputs: List[int],
        output: int,
        options: Optional[Record] = None,
        version: int = 1,
    ) -> s.Operator:
        """An operator, which is not in the graph yet."""
        codes = self._model.operator_codes
        same = (i for i, old in enumerate(codes) if (old.code, old.version) == (code, version))
        place = next(same, len(codes))
        if place == len(codes):
            narrow = min(code, BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
            codes.append(s.OperatorCode(deprecated_builtin_code=narrow, version=version, builtin_code=code))
        return s.Operator(opcode_index=place, inputs=inputs, outputs=[output], builtin_options=options)
