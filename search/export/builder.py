"""Builds a :class:`~search.export.graph.Graph` call by call: shapes, folding of BatchNorm, fusing of activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from search.export.errors import ExportError, UnsupportedModuleError
from search.export.graph import (
    FUSIBLE,
    Activation,
    Add,
    Borders,
    Concat,
    Conv,
    Dense,
    Flatten,
    Fusing,
    GlobalAverage,
    Graph,
    Node,
    Pad,
    Pair,
    Pool,
    Shape,
    Unary,
    Weights,
    Zeros,
    window_output,
)


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the traced network."""

    name: str
    shape: Shape


class Builder:
    """Collects operations. Each method is one step of the network; it takes and returns values.

    Before each call of the network :meth:`enter` says where it stands, for names and messages.
    """

    def __init__(self, input_name: str, shape: Shape, *, fuse: bool = True) -> None:
        self.input = Value(input_name, shape)
        self._fuse = fuse
        self.uses: dict[str, int] = {}
        self._nodes: dict[str, Node] = {}
        self._shapes: dict[str, Shape] = {input_name: shape}
        self._path = self._name = ""
        self._uses = 0

    def enter(self, path: str, name: str, uses: int) -> None:
        """Begin a call.

        Args:
            path: the module that makes it.
            name: what its result would be called.
            uses: calls that read its result.
        """
        self._path, self._name, self._uses = path, name, uses

    def refuse(self, what: str, advice: str) -> UnsupportedModuleError:
        """The error to raise about the call at hand."""
        return UnsupportedModuleError(self._path, what, advice)

    def finish(self, output: Value) -> Graph:
        """The graph that leads to ``output``; what does not lead there is left out."""
        needed, nodes = {output.name}, []
        for node in reversed(self._nodes.values()):
            if node.name in needed:
                needed.update(node.inputs)
                nodes.append(node)
        nodes.reverse()
        shapes = {name: shape for name, shape in self._shapes.items() if name in needed or name == self.input.name}
        graph = Graph(self.input.name, output.name, nodes, shapes)
        _check_weights(graph)
        return graph

    # Each emitted node gets a name of its own: a module called twice appears twice.
    def _unique(self) -> str:
        name, count = self._name or "value", 1
        while name in self._shapes:
            count += 1
            name = f"{self._name}:{count}"
        return name

    def _emit(self, node: Node, shape: Shape) -> Value:
        if min(shape) < 1:
            raise ExportError(
                f"{self._path or 'the network'}: its output would be empty, {shape}: the input is too small"
            )
        self._nodes[node.name] = node
        self._shapes[node.name] = shape
        self.uses[node.name] = self._uses
        return Value(node.name, shape)

    def _is_zero(self, x: Value) -> bool:
        return isinstance(self._nodes.get(x.name), Zeros)

    def _maps(self, x: Value) -> tuple[int, int, int, int]:
        if len(x.shape) != 4:
            raise self.refuse(
                f"an input of shape {x.shape} where (N, C, H, W) is needed", "keep feature maps until flattening"
            )
        n, c, h, w = x.shape
        return n, c, h, w

    def same(self, x: Value) -> Value:
        """A call that returns its input."""
        self.uses[x.name] += self._uses - 1
        return x

    def zeros(self, shape: Shape) -> Value:
        """Zeros, whatever the input."""
        return self._emit(Zeros(self._unique(), ()), shape)

    def conv(
        self, x: Value, weight: Tensor, bias: Tensor | None, stride: Pair, borders: Borders, dilation: Pair, groups: int
    ) -> Value:
        """Convolution with zero padding."""
        n, c, h, w = self._maps(x)
        out, per_group, kh, kw = weight.shape
        if c != per_group * groups:
            raise ExportError(f"{self._path}: {c} channels arrive where {per_group * groups} are expected")
        shape = (
            n,
            out,
            window_output(h, (kh - 1) * dilation[0] + 1, stride[0], borders.top, borders.bottom),
            window_output(w, (kw - 1) * dilation[1] + 1, stride[1], borders.left, borders.right),
        )
        array = _array(weight)
        offsets = _array(bias) if bias is not None else np.zeros(out, np.float32)
        made = Conv(self._unique(), (x.name,), self._path, array, offsets, stride, borders, dilation, groups)
        return self._emit(made, shape)

    def batch_norm(
        self, x: Value, mean: Tensor, variance: Tensor, gain: Tensor | None, offset: Tensor | None, epsilon: float
    ) -> Value:
        """BatchNorm with fixed statistics: folded, in double precision, or a depthwise 1×1 convolution."""
        channels = self._maps(x)[1]
        scale = 1.0 / np.sqrt(_array(variance).astype(np.float64) + epsilon)
        if gain is not None:
            scale *= _array(gain)
        if scale.shape != (channels,):
            raise ExportError(f"{self._path}: {channels} channels arrive where {len(scale)} are expected")
        shift = -_array(mean) * scale
        if offset is not None:
            shift += _array(offset)
        node = self._nodes.get(x.name)
        if isinstance(node, Conv) and node.activation is Activation.NONE and self.uses[x.name] == 1:
            node.weight = node.weight * scale.astype(np.float32)[:, None, None, None]
            node.bias = (node.bias * scale + shift).astype(np.float32)
            return self.same(x)
        weight = scale.astype(np.float32).reshape(channels, 1, 1, 1)
        made = Conv(
            self._unique(),
            (x.name,),
            self._path,
            weight,
            shift.astype(np.float32),
            (1, 1),
            Borders(),
            (1, 1),
            groups=channels,
        )
        return self._emit(made, x.shape)

    def dense(self, x: Value, weight: Tensor, bias: Tensor | None) -> Value:
        """Matrix product of each row."""
        if len(x.shape) != 2:
            raise self.refuse(f"a matrix product on shape {x.shape}", "flatten to (N, features) before it")
        if x.shape[1] != weight.shape[1]:
            raise ExportError(f"{self._path}: {x.shape[1]} features arrive where {weight.shape[1]} are expected")
        offsets = _array(bias) if bias is not None else np.zeros(weight.shape[0], np.float32)
        node = Dense(self._unique(), (x.name,), self._path, _array(weight), offsets)
        return self._emit(node, (x.shape[0], weight.shape[0]))

    def activate(self, x: Value, kind: Activation) -> Value:
        """An activation, fused into the operation before it where that is wanted and possible."""
        if self._is_zero(x):
            return self.same(x)
        node = self._nodes.get(x.name)
        if (
            self._fuse
            and kind in FUSIBLE
            and isinstance(node, Fusing)
            and node.activation is Activation.NONE
            and self.uses[x.name] == 1
        ):
            node.activation = kind
            return self.same(x)
        return self._emit(Unary(self._unique(), (x.name,), kind), x.shape)

    def add(self, a: Value, b: Value) -> Value:
        """Sum; a summand of zeros vanishes."""
        if a.shape != b.shape:
            raise self.refuse(f"a sum of shapes {a.shape} and {b.shape}", "bring both to one shape")
        if self._is_zero(b):
            return self.same(a)
        if self._is_zero(a):
            return self.same(b)
        return self._emit(Add(self._unique(), (a.name, b.name)), a.shape)

    def concat(self, parts: Sequence[Value]) -> Value:
        """Concatenation of channels (or features)."""
        if len(parts) == 1:
            return self.same(parts[0])
        first = parts[0].shape
        if any(len(p.shape) != len(first) or p.shape[2:] != first[2:] or p.shape[0] != first[0] for p in parts):
            raise ExportError(f"{self._path}: shapes {[p.shape for p in parts]} cannot be concatenated")
        shape = (first[0], sum(part.shape[1] for part in parts), *first[2:])
        return self._emit(Concat(self._unique(), tuple(part.name for part in parts)), shape)

    def pool(
        self, x: Value, *, average: bool, kernel: Pair, stride: Pair, borders: Pair, count_borders: bool, ceil: bool
    ) -> Value:
        """Maximum or average over windows."""
        n, c, h, w = self._maps(x)
        top, left = borders
        if 2 * top > kernel[0] or 2 * left > kernel[1]:
            raise ExportError(f"{self._path}: padding {borders} is more than half the window {kernel}")
        outputs = (
            window_output(h, kernel[0], stride[0], top, top),
            window_output(w, kernel[1], stride[1], left, left),
        )
        left_over = ((h + 2 * top - kernel[0]) % stride[0], (w + 2 * left - kernel[1]) % stride[1])
        if ceil and left_over != (0, 0):
            raise self.refuse(
                "ceil_mode=True on a size where it matters", "use ceil_mode=False, with padding if need be"
            )
        shape = (n, c, *outputs)
        if self._is_zero(x):
            return self.zeros(shape)
        node = Pool(self._unique(), (x.name,), average, kernel, stride, Borders(top, top, left, left), count_borders)
        return self._emit(node, shape)

    def global_average(self, x: Value, keep_dims: bool) -> Value:
        """Mean over height and width."""
        n, c, _, _ = self._maps(x)
        shape = (n, c, 1, 1) if keep_dims else (n, c)
        return (
            self.zeros(shape)
            if self._is_zero(x)
            else self._emit(GlobalAverage(self._unique(), (x.name,), keep_dims), shape)
        )

    def pad(self, x: Value, borders: Borders, channels: Pair) -> Value:
        """Zeros around a feature map and its channels."""
        n, c, h, w = self._maps(x)
        if min(borders.top, borders.bottom, borders.left, borders.right, *channels) < 0:
            raise self.refuse("negative padding", "slice with a convolution or pooling instead")
        shape = (n, c + sum(channels), h + borders.top + borders.bottom, w + borders.left + borders.right)
        if shape == x.shape:
            return self.same(x)
        if self._is_zero(x):
            return self.zeros(shape)
        return self._emit(Pad(self._unique(), (x.name,), borders, channels), shape)

    def flatten(self, x: Value) -> Value:
        """(N, C, H, W) → (N, C·H·W); a mean before it gives that shape at once."""
        if len(x.shape) == 2:
            return self.same(x)
        n, c, h, w = self._maps(x)
        node = self._nodes.get(x.name)
        if isinstance(node, GlobalAverage) and self.uses[x.name] == 1:
            node.keep_dims = False
            self._shapes[x.name] = (n, c)
            return self.same(Value(x.name, (n, c)))
        return self._emit(Flatten(self._unique(), (x.name,)), (n, c * h * w))


def _array(tensor: Tensor) -> Weights:
    array: Weights = tensor.detach().to("cpu", torch.float32).numpy()
    return array


def _check_weights(graph: Graph) -> None:
    for node in graph.nodes:
        if isinstance(node, (Conv, Dense)):
            arrays: dict[str, Any] = {"weight": node.weight, "bias": node.bias}
            for kind, array in arrays.items():
                if not np.isfinite(array).all():
                    raise ExportError(f"{node.name}: its {kind} holds NaN or infinity (BatchNorm folded in)")
