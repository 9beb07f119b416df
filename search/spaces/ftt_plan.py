"""The layers of one network of FTT-NAS's space, with their shapes: what its module and its costs are made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from search.spaces.ftt_cell import INPUTS, SKIP, Cell, live
from search.spaces.plan import cells as area
from search.spaces.plan import halved

Size = tuple[int, int]


@dataclass(frozen=True)
class Layer:
    """A convolution, or a pooling, which has no weights.

    Attributes:
        kind: conv, depthwise, maxpool or avgpool.
        inputs: channels that come in.
        outputs: channels that go out.
        kernel: cells along one side.
        stride: 1 or 2.
        dilation: 1 or 2.
        positions: cells of the map that goes out.
        norm: a BatchNorm follows.
        bias: it has one of its own.
    """

    kind: str
    inputs: int
    outputs: int
    kernel: int
    stride: int
    positions: int
    dilation: int = 1
    norm: bool = False
    bias: bool = False

    @property
    def weights(self) -> int:
        """Number of weights."""
        per_output = {"conv": self.inputs, "depthwise": 1}.get(self.kind, 0)
        return per_output * self.outputs * self.kernel**2

    @property
    def parameters(self) -> int:
        """Trainable ones, BatchNorm's included."""
        return self.weights + (2 * self.norm + self.bias) * self.outputs

    def __str__(self) -> str:
        more = (f" /{self.stride}" if self.stride > 1 else "") + (" dilated" if self.dilation > 1 else "")
        return f"{self.kind}{self.kernel}x{self.kernel} {self.inputs}>{self.outputs}{more} @{self.positions}"


def operation_layers(name: str, channels: int, stride: int, positions: int) -> Iterator[Layer]:
    """The layers of an operation on an edge; `positions` is of the map that goes out."""
    kernel = int(name[-1]) if name[-1].isdigit() else 1

    def conv(kernel: int, stride: int, norm: bool = True, bias: bool = False) -> Layer:
        return Layer("conv", channels, channels, kernel, stride, positions, norm=norm, bias=bias)

    def depthwise(stride: int, dilation: int) -> Layer:
        return Layer("depthwise", channels, channels, kernel, stride, positions, dilation)

    if name.startswith(("max_pool", "avg_pool")):
        yield Layer(f"{name[:3]}pool", channels, channels, kernel, stride, positions)
    elif name == SKIP:
        if stride > 1:
            yield conv(1, stride)
    elif name.startswith("sep_conv"):
        for each in (stride, 1):
            yield depthwise(each, 1)
            yield conv(1, 1)
    elif name.startswith("dil_conv"):
        yield depthwise(stride, 2)
        yield conv(1, 1)
    elif name == "conv_1x1":
        yield conv(1, stride, norm=False, bias=True)
    else:
        yield conv(kernel, stride)


@dataclass(frozen=True)
class CellPlan:
    """One cell with its shapes.

    Attributes:
        cell: what it does.
        sources: for each input that is read the index of the cell that it comes from, -1 for the stem.
        inputs: for each of them the layer that brings it to `channels`, and to the size of the cell before.
        channels: of each step.
        reduces: its operations on the inputs halve the map.
        size: (H, W) that goes out.
    """

    cell: Cell
    sources: dict[int, int]
    inputs: dict[int, Layer]
    channels: int
    reduces: bool
    size: Size

    @property
    def outputs(self) -> int:
        """Channels that go out: those of the steps side by side."""
        return self.channels * sum(bool(live(step)) for step in self.cell)

    def stride(self, source: int) -> int:
        """Of an operation on what comes from there."""
        return 2 if self.reduces and source < INPUTS else 1

    def layers(self) -> Iterator[Layer]:
        """All of them."""
        yield from self.inputs.values()
        for step in self.cell:
            for source, name in live(step):
                yield from operation_layers(name, self.channels, self.stride(source), area(self.size))


@dataclass(frozen=True)
class FttPlan:
    """A whole network.

    Attributes:
        image_shape: (C, H, W).
        stem: channels after the first convolution, 3 × 3.
        cells: by their place; those that nothing reads are left out.
        classes: logits of the linear layer that ends it, after the mean over the map.
    """

    image_shape: tuple[int, int, int]
    stem: int
    cells: dict[int, CellPlan]
    classes: int

    @property
    def stem_layer(self) -> Layer:
        """The first convolution."""
        return Layer("conv", self.image_shape[0], self.stem, 3, 1, area(self.image_shape[1:]), norm=True)

    @property
    def features(self) -> int:
        """Channels before the linear layer."""
        return self.cells[max(self.cells)].outputs

    def layers(self) -> Iterator[Layer]:
        """All but the linear one."""
        yield self.stem_layer
        for cell in self.cells.values():
            yield from cell.layers()

    @cached_property
    def macs(self) -> int:
        """Multiplications of weights with values for one image."""
        return sum(layer.weights * layer.positions for layer in self.layers()) + self.features * self.classes

    @cached_property
    def parameters(self) -> int:
        """Trainable ones."""
        return sum(layer.parameters for layer in self.layers()) + (self.features + 1) * self.classes

    def operators(self) -> dict[str, float]:
        """Its layers and sums, by kind and shape."""
        counts = Counter(map(str, self.layers()))
        for cell in self.cells.values():
            counts[f"add {cell.channels} @{area(cell.size)}"] += sum(len(live(step)) == 2 for step in cell.cell)
        return {key: float(count) for key, count in counts.items() if count}


@lru_cache(10_000)
def plan(
    image_shape: tuple[int, int, int],
    classes: int,
    channels: int,
    normal: Cell,
    reduction: Cell,
    layout: tuple[bool, ...],
) -> FttPlan:
    """The layers of a network.

    Args:
        image_shape: (C, H, W).
        classes: logits.
        channels: of each step of the first cell; doubled by each reduction.
        normal: a cell that keeps the map.
        reduction: a cell that halves it.
        layout: for each cell, in order, whether it is a reduction.
    """
    stem = 3 * channels
    sizes: list[Size] = [image_shape[1:]]
    for reduces in layout:
        sizes.append(halved(sizes[-1], 2 if reduces else 1))
    read, pairs = {len(layout) - 1}, []
    for place in reversed(range(len(layout))):
        cell = reduction if layout[place] else normal
        used = {source for step in cell for source, _ in live(step) if source < INPUTS}
        # A is the cell before the last one, B the last one; the first two cells begin with the stem.
        sources = {source: max(place - INPUTS + source, -1) for source in sorted(used)}
        if place in read:
            read.update(sources.values())
            pairs.append((place, cell, sources))
    made: dict[int, CellPlan] = {}
    for place, cell, sources in reversed(pairs):
        width = channels << sum(layout[: place + 1])
        inputs = {}
        for source, index in sources.items():
            outputs = stem if index < 0 else made[index].outputs
            stride = 1 if sizes[index + 1] == sizes[place] else 2
            inputs[source] = Layer("conv", outputs, width, 1, stride, area(sizes[place]), norm=True)
        made[place] = CellPlan(cell, sources, inputs, width, layout[place], sizes[place + 1])
    return FttPlan(image_shape, stem, made, classes)
