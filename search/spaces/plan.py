"""The layers of one mobile network, with their shapes: what its module, its costs and its supernet are made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from search.spaces.genes import Kind


@dataclass(frozen=True)
class Convolution:
    """A convolution with its BatchNorm, or without for the linear layer at the end (a 1×1 one with bias).

    Attributes:
        inputs: channels that come in.
        outputs: channels that go out.
        kernel: cells along one side.
        positions: cells of the map that goes out.
        depthwise: each channel for itself.
    """

    inputs: int
    outputs: int
    kernel: int
    positions: int
    depthwise: bool = False

    @property
    def key(self) -> str:
        """What its cost depends on."""
        kind = "depthwise" if self.depthwise else "conv"
        return f"{kind}{self.kernel}x{self.kernel} {self.inputs}>{self.outputs} @{self.positions}"

    @property
    def weights(self) -> int:
        """Number of weights."""
        return (1 if self.depthwise else self.inputs) * self.outputs * self.kernel**2

    @property
    def macs(self) -> int:
        """Multiplications for one image."""
        return self.weights * self.positions


@dataclass(frozen=True)
class BlockPlan:
    """One block with its shapes.

    Attributes:
        stage: index of its stage.
        index: its place there.
        kind: see :data:`~search.spaces.genes.Kind`.
        inputs: channels that come in.
        hidden: channels between the convolutions of a bottleneck; 0 for a plain convolution.
        outputs: channels that go out.
        kernel: cells along one side.
        stride: 1 or 2.
        size: (H, W) that comes in.
    """

    stage: int
    index: int
    kind: Kind
    inputs: int
    hidden: int
    outputs: int
    kernel: int
    stride: int
    size: tuple[int, int]

    @property
    def residual(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.inputs == self.outputs

    def convolutions(self) -> Iterator[Convolution]:
        """Its layers, in order."""
        before, after = cells(self.size), cells(halved(self.size, self.stride))
        if self.kind == "c":
            yield Convolution(self.inputs, self.outputs, self.kernel, after)
            return
        yield Convolution(self.inputs, self.hidden, 1, before)
        yield Convolution(self.hidden, self.hidden, self.kernel, after, depthwise=True)
        yield Convolution(self.hidden, self.outputs, 1, after)


@dataclass(frozen=True)
class Plan:
    """A whole network.

    Attributes:
        image_shape: (C, H, W).
        stem: channels after the first convolution, 3×3.
        stem_stride: 1 or 2.
        blocks: in order.
        classes: logits of the linear layer that ends it, after the mean over the map.
    """

    image_shape: tuple[int, int, int]
    stem: int
    stem_stride: int
    blocks: tuple[BlockPlan, ...]
    classes: int

    @property
    def features(self) -> int:
        """Channels before the linear layer."""
        return self.blocks[-1].outputs

    def convolutions(self) -> Iterator[Convolution]:
        """All layers with a BatchNorm."""
        channels, height, width = self.image_shape
        yield Convolution(channels, self.stem, 3, cells(halved((height, width), self.stem_stride)))
        for block in self.blocks:
            yield from block.convolutions()

    @property
    def macs(self) -> int:
        """Multiplications of weights with values for one image."""
        return sum(layer.macs for layer in self.convolutions()) + self.features * self.classes

    @property
    def parameters(self) -> int:
        """Trainable parameters: weights, two per channel of a BatchNorm, the linear layer with its bias."""
        return (
            sum(layer.weights + 2 * layer.outputs for layer in self.convolutions()) + (self.features + 1) * self.classes
        )


def cells(size: tuple[int, int]) -> int:
    """Cells of a map of (H, W)."""
    return size[0] * size[1]


def halved(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """(H, W) after a convolution that pads by half its window."""
    return -(-size[0] // stride), -(-size[1] // stride)
