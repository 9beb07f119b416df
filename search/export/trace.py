"""From a torch module to a :class:`~search.export.graph.Graph`: the module is traced, not run.

``torch.fx`` lists the calls; each is then turned into an operation, with shapes worked out on the way, so that
``x.size(0)`` and the like are plain numbers. BatchNorm layers are folded into the convolution before them, or become
a depthwise 1×1 convolution where there is none.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from search.export import functions
from search.export.builder import Builder, Value
from search.export.errors import ExportError, UnsupportedModuleError
from search.export.graph import Graph, Shape

INPUT = "input"
"""Name of the input in every graph and file."""

_SHAPE_QUERIES = ("size", "dim")


class _Tracer(fx.Tracer):
    """Names the innermost module whose code cannot be traced."""

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            return super().call_module(m, forward, args, kwargs)
        except (fx.proxy.TraceError, TypeError) as error:
            raise _untraceable(self.path_of_module(m), m, error) from error


def _untraceable(path: str, module: nn.Module, error: Exception) -> UnsupportedModuleError:
    return UnsupportedModuleError(
        path,
        f"{type(module).__name__}, whose code cannot be traced ({error}),",
        "let the constructor decide what depends on more than shapes",
    )


def trace(module: nn.Module, input_shape: Shape, *, fuse: bool = True) -> Graph:
    """Trace a module as it behaves in evaluation mode.

    Args:
        module: takes one tensor and returns one tensor; left as it is.
        input_shape: (N, C, H, W).
        fuse: make activations part of the operation before them where possible.

    Raises:
        UnsupportedModuleError: it holds something that cannot be exported; the message says what, where, and what to
            use instead.
        ExportError: weights that are not finite, or shapes that do not fit.
    """
    if len(input_shape) != 4 or min(input_shape) < 1:
        raise ExportError(f"the input shape must be (N, C, H, W), all positive: {input_shape}")
    if alone := type(module) in functions.MODULES:
        module = nn.Sequential(module)  # fx would look into a layer that is the whole network
    try:
        listing = _Tracer().trace(module)
    except (fx.proxy.TraceError, TypeError) as error:
        raise _untraceable("", module, error) from error
    builder = Builder(INPUT, input_shape, fuse=fuse)
    modules = dict(module.named_modules())
    values: dict[fx.Node, Any] = {}
    for node in listing.nodes:
        if node.op == "output":
            return builder.finish(_single_output(values[node.args[0]] if isinstance(node.args[0], fx.Node) else None))
        if node.op == "placeholder":
            if values:
                raise UnsupportedModuleError("", f"a second input ({node.target})", "export a network of one input")
            values[node] = builder.input
            builder.uses[INPUT] = _uses(node)
        else:
            values[node] = _convert(builder, node, modules, values, alone)
    raise AssertionError("a traced graph ends with its output")


def _plain(name: str) -> str:
    """A call's name without the number that fx appends: ``add_3`` → ``add``."""
    return re.sub(r"_\d+$", "", name)


def _single_output(value: Any) -> Value:
    if not isinstance(value, Value):
        raise UnsupportedModuleError("", "anything but one tensor as the output", "return the logits alone")
    return value


def _uses(node: fx.Node) -> int:
    """Operations that need the value itself, not only its shape."""
    return sum(not _is_shape_query(user) for user in node.users)


def _is_shape_query(node: fx.Node) -> bool:
    return (node.op == "call_method" and node.target in _SHAPE_QUERIES) or (
        node.op == "call_function" and node.target is getattr
    )


def _convert(
    builder: Builder, node: fx.Node, modules: dict[str, nn.Module], values: dict[fx.Node, Any], alone: bool
) -> Any:
    def known(argument: fx.Node) -> Any:
        return values[argument]

    args = fx.map_arg(node.args, known)
    kwargs = fx.map_arg(node.kwargs, known)
    inner = next(reversed(node.meta.get("nn_module_stack", {"": None})))
    name = path = str(node.target) if node.op == "call_module" else str(inner)
    if node.op != "call_module":
        name = f"{path}.{_plain(node.name)}".lstrip(".")
    if alone:
        path = ""  # of the layer in the user's words
    if node.op == "call_function" and not _mentions_value((args, kwargs)) and callable(node.target):
        return node.target(*args, **kwargs)  # arithmetic on shapes
    handler, what = _handler(node, modules)
    if handler is None:
        raise UnsupportedModuleError(path, what, functions.advice(what))
    builder.enter(path, name, _uses(node))
    try:
        result = handler(builder, *args, **kwargs)
    except (TypeError, AttributeError) as error:
        raise UnsupportedModuleError(path, f"this use of {what} ({error})", functions.SUPPORTED) from error
    except RuntimeError as error:
        raise ExportError(f"{path or 'the network'}: {what} failed: {error}") from error
    if isinstance(result, Value) and _in_place(node, modules):
        # What was read as x before is the result from now on, under whatever name.
        for other, value in values.items():
            if value is args[0]:
                values[other] = result
    return result


def _handler(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[Callable[..., Any] | None, str]:
    """What converts a call, and how to call it in a message."""
    if node.op == "call_module":
        module = modules[str(node.target)]
        make = functions.MODULES.get(type(module))
        what = type(module).__name__
        if make is None:
            return None, what
        return lambda builder, x: make(builder, module, x), what
    if node.op == "call_function":
        return functions.FUNCTIONS.get(node.target), f"{getattr(node.target, '__name__', node.target)}()"
    if node.op == "call_method":
        return functions.METHODS.get(str(node.target)), f".{node.target}()"
    return None, f"the bare parameter {node.target}"


def _mentions_value(arguments: Any) -> bool:
    if isinstance(arguments, Value):
        return True
    if isinstance(arguments, dict):
        return any(_mentions_value(argument) for argument in arguments.values())
    if isinstance(arguments, slice):
        return _mentions_value((arguments.start, arguments.stop, arguments.step))
    return isinstance(arguments, (tuple, list)) and any(_mentions_value(argument) for argument in arguments)


def _in_place(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    if node.op == "call_method":
        return str(node.target).endswith("_")
    return node.target is operator.iadd or bool(node.kwargs.get("inplace", False)) or node.target is torch.relu_
