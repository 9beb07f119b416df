"""How the weights and values of a network are stored, and which parts of a network may be stored differently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from search.spaces.base import Architecture, Space, SpaceError
from search.spaces.mobile import MobileSpace

Per = Literal["network", "stage", "layer"]
#: What there is to choose from, with the letter that stands for it, bits of a weight, and bits of a value.
PRECISIONS: Mapping[str, tuple[str, int, int]] = {
    "int8": ("b", 8, 8),
    "int16x8": ("w", 8, 16),
    "float16": ("h", 16, 32),
    "float32": ("f", 32, 32),
}
#: Of a block of the mobile space, by its kind.
_LAYERS = {"m": ("expand", "depthwise", "project"), "c": ("conv",)}


@dataclass(frozen=True)
class Storage:
    """How a network is stored.

    Attributes:
        precision: of what `layers` does not name; a key of :data:`PRECISIONS`.
        layers: precision by the path of a module.
        clip: share of each layer's largest weight to which the others are cut, above 0, at most 1.
    """

    precision: str = "int8"
    layers: Mapping[str, str] = field(default_factory=dict)
    clip: float = 1.0


@dataclass(frozen=True)
class StoredLayer:
    """A layer of a network with weights.

    Attributes:
        part: which choice of a precision it follows.
        path: of its module, and of what else belongs to it.
        key: of its operator, see :meth:`search.spaces.base.Space.operators`; empty if the space counts none.
    """

    part: str
    path: str
    key: str


def parts_of(space: Space, per: Per) -> tuple[str, ...]:
    """The parts of the networks of a space that may be stored differently, in order; a network may lack some.

    Raises:
        SpaceError: the space does not say what its stages or layers are.
    """
    if per == "network":
        return ("network",)
    if not isinstance(space, MobileSpace):
        raise SpaceError(f"quantization: only the mobile space says what a {per} is; write per: network")
    stages = range(1, len(space.widths) + 1)
    if per == "stage":
        return tuple(f"stage{stage}" for stage in stages)
    blocks = [f"stage{stage}.block{block}" for stage in stages for block in range(1, space.depth + 1)]
    layers = [layer for kind in space.kinds for layer in _LAYERS[kind]]
    return ("stem", *(f"{block}.{layer}" for block in blocks for layer in layers), "head")


def layers_of(space: MobileSpace, architecture: Architecture, per: Per) -> Iterator[StoredLayer]:
    """The layers of a network in order, stem and head among them, each in a part of :func:`parts_of`.

    Stem and head belong to the first and to the last stage.

    Args:
        space: of the network.
        architecture: which.
        per: "stage" or "layer".
    """
    plan, stages = space.plan(architecture), len(space.widths)
    convolutions = plan.convolutions()
    yield StoredLayer("stem" if per == "layer" else "stage1", "stem", next(convolutions).key)
    for number, block in enumerate(plan.blocks):
        for name in _LAYERS[block.kind]:
            # Of a stage the block as a whole, its sum too.
            path = f"blocks.{number}" if per == "stage" else f"blocks.{number}.{name}"
            stage = f"stage{block.stage + 1}"
            part = stage if per == "stage" else f"{stage}.block{block.index + 1}.{name}"
            yield StoredLayer(part, path, next(convolutions).key)
    yield StoredLayer("head" if per == "layer" else f"stage{stages}", "head", "")
