"""What each torch module, function and method becomes: the closed set that can be exported.

Handlers take the arguments of the torch call they stand for, under torch's names, so that binding them is Python's
own work; an argument that a handler does not have is one that cannot be exported.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import nn

from search.export.builder import Builder, Value
from search.export.graph import Activation, Borders, Pair

SUPPORTED = (
    "supported are Conv2d, BatchNorm2d, Linear, ReLU, ReLU6, Hardswish, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1), "
    "ZeroPad2d, Flatten, Dropout, Identity, sums of equal shapes, torch.cat of channels, the mean over height and width"
)
_ACTIVATION_ADVICE = "use ReLU, ReLU6 or Hardswish"
_ADVICE = dict.fromkeys(
    [
        "SiLU",
        "GELU",
        "Sigmoid",
        "Hardsigmoid",
        "Mish",
        "ELU",
        "SELU",
        "LeakyReLU",
        "PReLU",
        "Tanh",
        "Softplus",
        "silu()",
        "gelu()",
        "sigmoid()",
        "hardsigmoid()",
        "leaky_relu()",
        "tanh()",
        "elu()",
        ".sigmoid()",
        ".tanh()",
    ],
    _ACTIVATION_ADVICE,
) | {
    "Softmax": "return logits: a softmax changes no ranking, and costs time on the device",
    "softmax()": "return logits: a softmax changes no ranking, and costs time on the device",
    "GroupNorm": "use BatchNorm2d, which costs nothing once folded",
    "LayerNorm": "use BatchNorm2d, which costs nothing once folded",
    "InstanceNorm2d": "use BatchNorm2d, which costs nothing once folded",
    "BatchNorm1d": "fold it into the Linear before it, or use BatchNorm2d before flattening",
}


def advice(what: str) -> str:
    """What to use instead of something that cannot be exported."""
    return _ADVICE.get(what, SUPPORTED)


def _pair(value: int | Sequence[int]) -> Pair:
    if isinstance(value, int):
        return value, value
    first, second = value
    return int(first), int(second)


# ---------------------------------------------------------------------------------------------------- modules


def _conv2d(b: Builder, m: nn.Conv2d, x: Value) -> Value:
    if m.padding_mode != "zeros":
        raise b.refuse(f"Conv2d with padding_mode={m.padding_mode!r}", "use zero padding")
    kernel, dilation, stride = _pair(m.kernel_size), _pair(m.dilation), _pair(m.stride)
    if m.padding == "same":
        (rows, columns) = ((k - 1) * d for k, d in zip(kernel, dilation, strict=True))
        borders = Borders(rows // 2, rows - rows // 2, columns // 2, columns - columns // 2)
    else:
        top, left = (0, 0) if isinstance(m.padding, str) else _pair(m.padding)
        borders = Borders(top, top, left, left)
    return b.conv(x, m.weight, m.bias, stride, borders, dilation, m.groups)


def _batch_norm2d(b: Builder, m: nn.BatchNorm2d, x: Value) -> Value:
    if m.running_mean is None or m.running_var is None:
        raise b.refuse("BatchNorm2d without running statistics", "use track_running_stats=True and calibrate it")
    return b.batch_norm(x, m.running_mean, m.running_var, m.weight, m.bias, m.eps)


def _avg_pool2d_module(b: Builder, m: nn.AvgPool2d, x: Value) -> Value:
    return _avg_pool2d(b, x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override)


def _max_pool2d_module(b: Builder, m: nn.MaxPool2d, x: Value) -> Value:
    return _max_pool2d(b, x, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices)


def _zero_pad2d(b: Builder, m: nn.ZeroPad2d, x: Value) -> Value:
    return _pad(b, x, m.padding)


MODULES: dict[type[nn.Module], Callable[[Builder, Any, Value], Value]] = {
    nn.Conv2d: _conv2d,
    nn.BatchNorm2d: _batch_norm2d,
    nn.Linear: lambda b, m, x: b.dense(x, m.weight, m.bias),
    nn.ReLU: lambda b, m, x: b.activate(x, Activation.RELU),
    nn.ReLU6: lambda b, m, x: b.activate(x, Activation.RELU6),
    nn.Hardswish: lambda b, m, x: b.activate(x, Activation.HARDSWISH),
    nn.MaxPool2d: _max_pool2d_module,
    nn.AvgPool2d: _avg_pool2d_module,
    nn.AdaptiveAvgPool2d: lambda b, m, x: _adaptive_avg_pool2d(b, x, m.output_size),
    nn.ZeroPad2d: _zero_pad2d,
    nn.Flatten: lambda b, m, x: _flatten(b, x, m.start_dim, m.end_dim),
    nn.Dropout: lambda b, m, x: b.same(x),
    nn.Dropout2d: lambda b, m, x: b.same(x),
    nn.Identity: lambda b, m, x: b.same(x),
}


# -------------------------------------------------------------------------------------------------- functions


def _max_pool2d(
    b: Builder,
    input: Value,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Value:
    if _pair(dilation) != (1, 1) or return_indices:
        raise b.refuse("MaxPool2d with dilation or indices", "use a plain MaxPool2d")
    kernel = _pair(kernel_size)
    return b.pool(
        input,
        average=False,
        kernel=kernel,
        stride=_pair(stride) if stride else kernel,
        borders=_pair(padding),
        count_borders=False,
        ceil=ceil_mode,
    )


def _avg_pool2d(
    b: Builder,
    input: Value,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:
    if divisor_override is not None:
        raise b.refuse("AvgPool2d with divisor_override", "use a plain AvgPool2d")
    kernel = _pair(kernel_size)
    return b.pool(
        input,
        average=True,
        kernel=kernel,
        stride=_pair(stride) if stride else kernel,
        borders=_pair(padding),
        count_borders=count_include_pad,
        ceil=ceil_mode,
    )


def _adaptive_avg_pool2d(b: Builder, input: Value, output_size: int | Sequence[int]) -> Value:
    if output_size not in (1, (1, 1), [1, 1]):
        raise b.refuse(f"AdaptiveAvgPool2d to {output_size}", "pool to 1, or use AvgPool2d with a fixed window")
    return b.global_average(input, keep_dims=True)


def _mean(b: Builder, input: Value, dim: Sequence[int], keepdim: bool = False) -> Value:
    if sorted(d % len(input.shape) for d in dim) != [2, 3]:
        raise b.refuse(f"a mean over dimensions {tuple(dim)}", "take it over height and width, dimensions 2 and 3")
    return b.global_average(input, keepdim)


def _flatten(b: Builder, input: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    if start_dim != 1 or end_dim not in (-1, len(input.shape) - 1):
        raise b.refuse(
            f"flatten from dimension {start_dim} to {end_dim}", "flatten everything but the batch: flatten(x, 1)"
        )
    return b.flatten(input)


def _view(b: Builder, input: Value, *shape: Any) -> Value:
    wanted = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    features = 1
    for size in input.shape[1:]:
        features *= size
    if wanted not in ((input.shape[0], -1), (input.shape[0], features), (-1, features)):
        raise b.refuse(f"a view of {input.shape} as {wanted}", "only flatten(x, 1) can be exported")
    return b.flatten(input)


def _cat(b: Builder, tensors: Sequence[Value], dim: int = 0) -> Value:
    if dim % len(tensors[0].shape) != 1:
        raise b.refuse(f"concatenation along dimension {dim}", "concatenate channels, dimension 1")
    return b.concat(tensors)


def _add(b: Builder, input: Any, other: Any, *, alpha: int = 1) -> Value:
    if alpha != 1:
        raise b.refuse("a weighted sum", "scale with a BatchNorm2d before it")
    for number, value in ((input, other), (other, input)):
        if not isinstance(number, Value):
            if number != 0:  # sum([...]) begins with 0
                raise b.refuse(f"adding the number {number}", "let a bias do it")
            return b.same(value)
    return b.add(input, other)


def _mul(b: Builder, input: Any, other: Any) -> Value:
    value, factor = (input, other) if isinstance(input, Value) else (other, input)
    if isinstance(factor, Value):
        raise b.refuse("a product of two tensors", "gates (squeeze-and-excitation) are not supported")
    if factor == 1:
        return b.same(value)
    if factor == 0:
        return b.zeros(value.shape)
    raise b.refuse(f"a product with {factor}", "scale with a BatchNorm2d")


def _pad(b: Builder, input: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Value:
    if mode != "constant" or value:
        raise b.refuse(f"padding with mode={mode!r}, value={value}", "pad with zeros")
    sizes = [*(int(size) for size in pad), 0, 0, 0, 0, 0, 0][:6]
    left, right, top, bottom, front, back = sizes
    if len(pad) > 6:
        raise b.refuse("padding of the batch", "pad height, width or channels")
    return b.pad(input, Borders(top, bottom, left, right), (front, back))


def _getitem(b: Builder, input: Value, index: Any) -> Value:
    """``x[:, :, ::s, ::s]``, as a maximum over windows of one cell: exact, in int8 too."""
    slices = index if isinstance(index, tuple) else (index,)
    plain = all(isinstance(s, slice) and s.start in (None, 0) and s.stop is None for s in slices)
    steps = [s.step or 1 for s in slices] if plain else []
    if len(steps) != 4 or steps[:2] != [1, 1] or min(steps) < 1:
        raise b.refuse(
            f"indexing with {index}", "only x[:, :, ::s, ::s] can be exported; use a pooling or a convolution"
        )
    return b.pool(
        input,
        average=False,
        kernel=(1, 1),
        stride=(steps[2], steps[3]),
        borders=(0, 0),
        count_borders=False,
        ceil=False,
    )


def _getattr(b: Builder, value: Value, name: str) -> Any:
    if name not in ("shape", "ndim"):
        raise b.refuse(f"the tensor's attribute {name!r}", "only shape and ndim are known while exporting")
    return value.shape if name == "shape" else len(value.shape)


def _size(b: Builder, value: Value, dim: int | None = None) -> Any:
    return value.shape if dim is None else value.shape[dim]


def _relu(b: Builder, input: Value, inplace: bool = False) -> Value:
    return b.activate(input, Activation.RELU)


def _relu6(b: Builder, input: Value, inplace: bool = False) -> Value:
    return b.activate(input, Activation.RELU6)


def _hardswish(b: Builder, input: Value, inplace: bool = False) -> Value:
    return b.activate(input, Activation.HARDSWISH)


def _dropout(b: Builder, input: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Value:
    return b.same(input)


def _zeros_like(b: Builder, input: Value) -> Value:
    return b.zeros(input.shape)


def _identity(b: Builder, input: Value) -> Value:
    return b.same(input)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    getattr: _getattr,
    operator.getitem: _getitem,
    operator.add: _add,
    operator.iadd: _add,
    torch.add: _add,
    operator.mul: _mul,
    operator.imul: _mul,
    torch.mul: _mul,
    torch.cat: _cat,
    torch.concat: _cat,
    torch.flatten: _flatten,
    torch.mean: _mean,
    torch.relu: _relu,
    torch.relu_: _relu,
    torch.zeros_like: _zeros_like,
    F.relu: _relu,
    F.relu6: _relu6,
    F.hardswish: _hardswish,
    F.dropout: _dropout,
    F.dropout2d: _dropout,
    F.pad: _pad,
    F.max_pool2d: _max_pool2d,
    torch.max_pool2d: _max_pool2d,
    F.avg_pool2d: _avg_pool2d,
    F.adaptive_avg_pool2d: _adaptive_avg_pool2d,
}

METHODS: dict[str, Callable[..., Any]] = {
    "size": _size,
    "dim": lambda b, value: len(value.shape),
    "view": _view,
    "reshape": _view,
    "flatten": _flatten,
    "contiguous": _identity,
    "clone": _identity,
    "mean": _mean,
    "relu": _relu,
    "relu_": _relu,
    "add": _add,
    "add_": _add,
    "mul": _mul,
    "mul_": _mul,
}
