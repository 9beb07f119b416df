"""A network of FTT-NAS's space as a plain torch module: what is trained alone, and what is exported."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from search.spaces.ftt_cell import INPUTS, letter, live
from search.spaces.ftt_plan import CellPlan, FttPlan, Layer, operation_layers


def _made(layer: Layer) -> nn.Module:
    if layer.kind == "maxpool":
        return nn.MaxPool2d(layer.kernel, layer.stride, layer.kernel // 2)
    if layer.kind == "avgpool":
        return nn.AvgPool2d(layer.kernel, layer.stride, layer.kernel // 2, count_include_pad=False)
    return nn.Conv2d(
        layer.inputs,
        layer.outputs,
        layer.kernel,
        layer.stride,
        layer.dilation * (layer.kernel // 2),
        layer.dilation,
        groups=layer.inputs if layer.kind == "depthwise" else 1,
        bias=layer.bias,
    )


def operation(layers: Iterable[Layer]) -> nn.Module:
    """An operation; a ReLU stands before each run of layers that a BatchNorm ends."""
    parts: list[nn.Module] = []
    begins = True
    for layer in layers:
        if begins and (layer.norm or layer.kind == "depthwise"):
            parts.append(nn.ReLU())
        parts.append(_made(layer))
        if layer.norm:
            parts.append(nn.BatchNorm2d(layer.outputs))
        begins = layer.norm
    return nn.Sequential(*parts) if parts else nn.Identity()


class CellModule(nn.Module):
    """One cell; nothing is left out, steps of nothing are not there."""

    def __init__(self, plan: CellPlan) -> None:
        super().__init__()
        self.inputs = nn.ModuleDict({letter(source): operation([layer]) for source, layer in plan.inputs.items()})
        self.steps = nn.ModuleDict()
        self._sources: dict[str, list[str]] = {}
        positions = plan.size[0] * plan.size[1]
        for node, step in enumerate(plan.cell, INPUTS):
            if edges := live(step):
                self._sources[letter(node)] = [letter(source) for source, _ in edges]
                self.steps[letter(node)] = nn.ModuleList(
                    operation(operation_layers(name, plan.channels, plan.stride(source), positions))
                    for source, name in edges
                )

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """The outputs of the cells before, by letter, those that are read → (N, steps · C, H, W)."""
        maps = {name: layer(inputs[name]) for name, layer in self.inputs.items()}
        for name, sources in self._sources.items():
            terms = [op(maps[source]) for source, op in zip(sources, self.steps[name], strict=True)]  # type: ignore[call-overload]
            maps[name] = terms[0] if len(terms) == 1 else terms[0] + terms[1]
        return torch.cat([maps[name] for name in self._sources], 1)


class FttNetwork(nn.Module):
    """A whole network."""

    def __init__(self, plan: FttPlan) -> None:
        super().__init__()
        self.stem = nn.Sequential(_made(plan.stem_layer), nn.BatchNorm2d(plan.stem))
        self.cells = nn.ModuleDict({str(place): CellModule(cell) for place, cell in plan.cells.items()})
        self._sources = [
            (place, {letter(source): index for source, index in cell.sources.items()})
            for place, cell in plan.cells.items()
        ]
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(plan.features, plan.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → logits (N, classes)."""
        maps = {-1: self.stem(x)}
        for place, sources in self._sources:
            x = maps[place] = self.cells[str(place)]({name: maps[index] for name, index in sources.items()})
        logits: Tensor = self.head(self.flatten(self.pool(x)))
        return logits
