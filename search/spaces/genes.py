"""The settings of one network of the mobile space, and how they are written.

::

    16-m3e2-c5_24-m7e4          two stages of 16 and 24 channels
       │    │     └── inverted bottleneck, kernel 7, hidden channels = 4 × those that come in
       │    └── plain convolution, kernel 5
       └── inverted bottleneck, kernel 3, expansion 2

Other spellings of the same network name the depth apart, followed by settings that are switched off
(``16d2-m3e2-c5-m7e3``), or give a plain convolution an expansion that it does not use (``c5e2``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from search.spaces.base import SpaceError

Kind = Literal["m", "c"]
"""``m``: inverted bottleneck (Sandler et al. 2018, MobileNetV2, fig. 4d); ``c``: plain convolution."""

_STAGE = re.compile(r"([0-9]{1,5})(?:d([0-9]{1,2}))?")
_BLOCK = re.compile(r"([mc])([0-9]{1,2})(?:e([0-9]{1,2}))?")


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        kind: see :data:`Kind`.
        kernel: cells along one side of the window.
        expansion: hidden channels per input channel of a bottleneck, 0 for a plain convolution.
    """

    kind: Kind
    kernel: int
    expansion: int

    def __str__(self) -> str:
        return f"m{self.kernel}e{self.expansion}" if self.kind == "m" else f"c{self.kernel}"


@dataclass(frozen=True)
class Stage:
    """Blocks at one size of the feature map.

    Attributes:
        width: channels that each block puts out.
        blocks: the first one changes width and resolution; at least one.
    """

    width: int
    blocks: tuple[Block, ...]

    def __str__(self) -> str:
        return "-".join([str(self.width), *map(str, self.blocks)])


Genes = tuple[Stage, ...]


def write_genes(genes: Genes) -> str:
    """The canonical text."""
    return "_".join(map(str, genes))


def read_genes(text: str) -> Genes:
    """Read any spelling, without what is switched off.

    Raises:
        SpaceError: it cannot be read.
    """
    return tuple(_read_stage(part, text) for part in text.split("_"))


def _read_stage(part: str, text: str) -> Stage:
    head, *rest = part.split("-")
    match = _STAGE.fullmatch(head)
    if match is None:
        raise SpaceError(f"{text!r}: {head!r} is no stage; a stage reads like 16-m3e2-c5")
    blocks = [_read_block(item, text) for item in rest]
    depth = len(blocks) if match[2] is None else int(match[2])
    if not 1 <= depth <= len(blocks):
        raise SpaceError(f"{text!r}: the stage {part!r} has {len(blocks)} blocks and a depth of {depth}")
    return Stage(int(match[1]), tuple(blocks[:depth]))


def _read_block(item: str, text: str) -> Block:
    match = _BLOCK.fullmatch(item)
    if match is None or (match[1] == "m" and match[3] is None):
        raise SpaceError(f"{text!r}: {item!r} is no block; one reads like m3e2 (bottleneck) or c5 (plain convolution)")
    expansion = int(match[3]) if match[1] == "m" else 0
    return Block(cast(Kind, match[1]), int(match[2]), expansion)
