"""A network as the exporters see it: a short list of typed operations.

Layouts are torch's throughout, feature maps (N, C, H, W) and weights (out, in / groups, height, width), so that a
graph can be compared with its network step by step; the TFLite writer turns both into its own. BatchNorm is folded
already, and activations that directly follow an operation that can apply them are part of it if that is wanted.

A value is known by the name of the operation that makes it. That name is the path of the torch module
(``layer1.0.conv1``), or, for a function, the path of the module that calls it and the function's name
(``layer1.0.add``). Files keep these names.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Pair = tuple[int, int]
Weights = NDArray[np.float32]


class Activation(enum.Enum):
    """A function applied element by element."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    HARDSWISH = "hardswish"


FUSIBLE = (Activation.RELU, Activation.RELU6)
"""What a convolution, a dense layer or a sum can apply to its own result."""


@dataclass(frozen=True)
class Borders:
    """Cells added around a feature map."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __bool__(self) -> bool:
        return bool(self.top or self.bottom or self.left or self.right)


@dataclass
class Node:
    """An operation; its result is the value ``name``."""

    name: str
    inputs: tuple[str, ...]


@dataclass
class Fusing(Node):
    """An operation that can apply an activation to its result."""

    activation: Activation = field(default=Activation.NONE, kw_only=True)


@dataclass
class Layer(Fusing):
    """An operation with weights; ``path`` is that of the torch module, the same for each of its calls."""

    path: str


@dataclass
class Conv(Layer):
    """Convolution over zero-padded borders; ``weight`` (out, in / groups, height, width), ``bias`` (out,)."""

    weight: Weights
    bias: Weights
    stride: Pair
    borders: Borders
    dilation: Pair
    groups: int

    @property
    def depthwise(self) -> bool:
        """Whether each filter sees one channel only, while there are several."""
        return self.groups > 1 and self.weight.shape[1] == 1


@dataclass
class Dense(Layer):
    """``x @ weight.T + bias``; ``weight`` (out, in), ``bias`` (out,)."""

    weight: Weights
    bias: Weights


@dataclass
class Add(Fusing):
    """Sum of two values of one shape."""


@dataclass
class Concat(Node):
    """Concatenation of channels."""


@dataclass
class Unary(Node):
    """An activation on its own."""

    kind: Activation


@dataclass
class Pool(Node):
    """Maximum or average over windows."""

    average: bool
    kernel: Pair
    stride: Pair
    borders: Borders
    count_borders: bool = False
    """Whether an average counts border cells (as zeros) or leaves them out; the maximum always leaves them out."""


@dataclass
class GlobalAverage(Node):
    """Mean over height and width."""

    keep_dims: bool


@dataclass
class Pad(Node):
    """Zeros around a feature map, also before and after its channels."""

    borders: Borders
    channels: Pair


@dataclass
class Flatten(Node):
    """(N, C, H, W) → (N, C·H·W), in torch's order."""


@dataclass
class Zeros(Node):
    """A constant of zeros: the *none* operation of cell-based spaces, where something else than a sum uses it."""


@dataclass
class Graph:
    """A network of one input and one output, its operations in an order in which they can run.

    Attributes:
        input: name of the input.
        output: name of the output.
        nodes: the operations.
        shapes: of every value, in torch's layout.
    """

    input: str
    output: str
    nodes: list[Node]
    shapes: dict[str, Shape]

    def consumers(self, value: str) -> Iterator[Node]:
        """The operations that read a value."""
        return (node for node in self.nodes if value in node.inputs)


def window_output(size: int, window: int, stride: int, before: int, after: int) -> int:
    """Steps that a window makes along one axis; ``window`` includes dilation."""
    return (size + before + after - window) // stride + 1
