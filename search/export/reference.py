"""Runs a graph in torch, to learn the range of every value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor

from search.export.graph import (
    Activation,
    Add,
    Concat,
    Conv,
    Dense,
    Flatten,
    Fusing,
    GlobalAverage,
    Graph,
    Node,
    Pad,
    Pool,
    Unary,
)

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    Activation.NONE: lambda x: x,
    Activation.RELU: torch.relu_,
    Activation.RELU6: lambda x: x.clamp_(0, 6),
    Activation.HARDSWISH: F.hardswish,
}


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep torch on one thread: on small layers its threads cost twenty times what they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.inference_mode()
def evaluate(graph: Graph, images: Tensor, observe: Callable[[str, Tensor], None]) -> Tensor:
    """Run a graph.

    Args:
        graph: any batch size will do.
        images: (N, C, H, W), float32.
        observe: called with the name and content of every value, the input included.

    Returns:
        The output.
    """
    last_use = {name: node.name for node in graph.nodes for name in node.inputs}
    values = {graph.input: images}
    observe(graph.input, images)
    for node in graph.nodes:
        shape = (len(images), *graph.shapes[node.name][1:])
        result = _apply(node, [values[name] for name in node.inputs], shape)
        observe(node.name, result)
        values[node.name] = result
        for name in set(node.inputs):
            if last_use[name] == node.name and name != graph.output:
                del values[name]
    return values[graph.output]


def _apply(node: Node, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    result = _compute(node, inputs, shape)
    return _ACTIVATIONS[node.activation](result) if isinstance(node, Fusing) else result


def _compute(node: Node, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    if isinstance(node, Conv):
        x, padding = inputs[0], (node.borders.top, node.borders.left)
        if padding != (node.borders.bottom, node.borders.right):
            x, padding = _padded(x, node), (0, 0)
        weight, bias = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
        return F.conv2d(x, weight, bias, node.stride, padding, node.dilation, node.groups)
    if isinstance(node, Dense):
        return F.linear(inputs[0], torch.from_numpy(node.weight), torch.from_numpy(node.bias))
    if isinstance(node, Add):
        return inputs[0] + inputs[1]
    if isinstance(node, Concat):
        return torch.cat(inputs, 1)
    if isinstance(node, Unary):
        return _ACTIVATIONS[node.kind](inputs[0].clone())
    if isinstance(node, Pool):
        padding = (node.borders.top, node.borders.left)
        if node.average:
            return F.avg_pool2d(inputs[0], node.kernel, node.stride, padding, False, node.count_borders)
        return F.max_pool2d(inputs[0], node.kernel, node.stride, padding)
    if isinstance(node, GlobalAverage):
        return inputs[0].mean((2, 3), keepdim=node.keep_dims)
    if isinstance(node, Pad):
        return F.pad(_padded(inputs[0], node), (0, 0, 0, 0, *node.channels))
    if isinstance(node, Flatten):
        return inputs[0].flatten(1)
    return torch.zeros(shape)


def _padded(x: Tensor, node: Conv | Pad) -> Tensor:
    return F.pad(x, (node.borders.left, node.borders.right, node.borders.top, node.borders.bottom))
