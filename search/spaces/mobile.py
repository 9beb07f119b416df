"""A mobile-style elastic space: stages with depth, width, kernels and expansion, after OFA (Cai et al. 2020).

::

    image ─ stem 3×3 ─ stage 1 ─ stage 2 ─ … ─ mean ─ linear ─ logits
                          │
                          └─ 1 … depth blocks of one width: inverted bottlenecks (m) or plain convolutions (c),
                             each with its own kernel and expansion

It holds only operations that run well on every device, after Chu et al.: convolutions, ReLU6 and sums; no
squeeze-and-excitation, no swish.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from search.spaces.base import Architecture, Decision, SpaceError
from search.spaces.genes import Block, Genes, Kind, Stage, read_genes, write_genes
from search.spaces.plan import BlockPlan, Plan, halved
from search.spaces.variation import checked_choices

if TYPE_CHECKING:
    from torch import nn

_SMALLEST_IMAGE = 8
_SMALLEST_MAP = 4
"""Halving stops before the map has fewer cells along a side: a window of 7 would see mostly border."""
_MORE_MUTATIONS = 0.3
"""Probability of one more change, so that evolution can leave a local optimum."""

T = TypeVar("T")


@dataclass(frozen=True)
class MobileSpace:
    """The space; two with equal settings are equal.

    Where the map is halved follows from the image: as often as it stays at least 4 × 4, in the first stages, and for
    larger images in the stem too (8 × 8: once; 16 × 16: twice; 32 × 32: thrice; from 64 × 64: four times).

    Attributes:
        image_shape: (C, H, W), H and W at least 8.
        classes: logits, at least 2.
        stem: channels after the first convolution.
        widths: the choices of each stage.
        depth: most blocks of a stage.
        kernels: choices, odd.
        expansions: choices of a bottleneck's expansion.
        kinds: which blocks there are.
    """

    image_shape: tuple[int, int, int]
    classes: int
    stem: int = 8
    widths: tuple[tuple[int, ...], ...] = ((4, 8, 16), (8, 16, 24), (8, 16, 32))
    depth: int = 2
    kernels: tuple[int, ...] = (3, 5, 7)
    expansions: tuple[int, ...] = (1, 2, 4)
    kinds: tuple[Kind, ...] = ("m", "c")

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SpaceError: they contradict each other.
        """
        if len(self.image_shape) != 3 or self.image_shape[0] < 1 or min(self.image_shape[1:]) < _SMALLEST_IMAGE:
            raise SpaceError(f"images must be (channels, height, width), at least 8 × 8: {self.image_shape}")
        if self.classes < 2:
            raise SpaceError(f"there must be two classes or more: {self.classes}")
        if self.stem < 1 or not 1 <= self.depth <= 99:
            raise SpaceError(f"the stem needs a channel and a stage 1 to 99 blocks: {self.stem}, {self.depth}")
        if not self.widths:
            raise SpaceError("there must be a stage")
        for name, choices in [("widths", w) for w in self.widths] + [
            ("kernels", self.kernels),
            ("expansions", self.expansions),
        ]:
            if not choices or min(choices) < 1 or list(choices) != sorted(set(choices)):
                raise SpaceError(f"{name} must be positive, different and in rising order: {choices}")
        if any(kernel % 2 == 0 or kernel > 7 for kernel in self.kernels):
            raise SpaceError(f"kernels must be 1, 3, 5 or 7: {self.kernels}")
        if max(self.expansions) > 99 or max(max(w) for w in self.widths) > 99_999:
            raise SpaceError("an expansion has at most two digits and a width five")
        if not self.kinds or not set(self.kinds) <= {"m", "c"} or len(set(self.kinds)) < len(self.kinds):
            raise SpaceError(f"kinds must be different ones of m and c: {self.kinds}")

    @cached_property
    def name(self) -> str:
        """All settings."""
        widths = "_".join("".join(f"w{width}" for width in choices) for choices in self.widths)
        return (
            f"mobile-{'x'.join(map(str, self.image_shape))}-{self.classes}-s{self.stem}-{widths}-d{self.depth}"
            f"-k{''.join(map(str, self.kernels))}-e{'e'.join(map(str, self.expansions))}-{''.join(self.kinds)}"
        )

    def size(self) -> int:
        """Number of different networks."""
        blocks = len(self._blocks)
        stage = sum(blocks**depth for depth in range(1, self.depth + 1))
        return math.prod(len(choices) * stage for choices in self.widths)

    def allows(self, architecture: Architecture) -> bool:
        """See :class:`~search.spaces.base.Space`."""
        return True

    # ----------------------------------------------------------------------------------------------- variation

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw depth, width, kind, kernel and expansion evenly and independently.

        Drawn evenly over networks instead, nearly all would have full depth.
        """
        return self._named(
            tuple(
                Stage(
                    _pick(choices, rng), tuple(self._draw_block(rng) for _ in range(1 + int(rng.integers(self.depth))))
                )
                for choices in self.widths
            )
        )

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Change a setting or a few: a width, a depth, or a block's kind, kernel or expansion.

        Raises:
            SpaceError: the space holds one network only.
        """
        genes = self.genes(architecture)
        if self.size() == 1:
            raise SpaceError(f"{self.name} holds one network only: there is nothing to mutate to")
        changed = genes
        while changed == genes:  # a second change may have undone the first
            changed = self._change(changed, rng)
            while rng.random() < _MORE_MUTATIONS:
                changed = self._change(changed, rng)
        return self._named(changed)

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator) -> Architecture:
        """Take each width, depth and block from either parent; a block that one does not have from the other."""
        child = []
        for one, other in zip(self.genes(first), self.genes(second), strict=True):
            depth = len(_pick((one.blocks, other.blocks), rng))
            blocks = (_pick([p.blocks[i] for p in (one, other) if i < len(p.blocks)], rng) for i in range(depth))
            child.append(Stage(_pick((one.width, other.width), rng), tuple(blocks)))
        return self._named(tuple(child))

    def largest(self, rng: np.random.Generator) -> Architecture:
        """The network with the largest of every setting; the kinds of its blocks are drawn, for none is the larger."""
        return self._extreme(rng, -1, self.depth)

    def smallest(self, rng: np.random.Generator) -> Architecture:
        """The network with the smallest of every setting, its kinds drawn."""
        return self._extreme(rng, 0, 1)

    def _extreme(self, rng: np.random.Generator, which: int, depth: int) -> Architecture:
        def block() -> Block:
            kind = _pick(self.kinds, rng)
            return Block(kind, self.kernels[which], self.expansions[which] if kind == "m" else 0)

        return self._named(tuple(Stage(w[which], tuple(block() for _ in range(depth))) for w in self.widths))

    @cached_property
    def _blocks(self) -> tuple[Block, ...]:
        """Every block that there is."""
        return tuple(
            Block(kind, kernel, expansion)
            for kind in self.kinds
            for kernel in self.kernels
            for expansion in (self.expansions if kind == "m" else (0,))
        )

    def _draw_block(self, rng: np.random.Generator) -> Block:
        kind = _pick(self.kinds, rng)
        return Block(kind, _pick(self.kernels, rng), _pick(self.expansions, rng) if kind == "m" else 0)

    def _change(self, genes: Genes, rng: np.random.Generator) -> Genes:
        """One random change, which is none where there is no other choice."""
        place = int(rng.integers(len(genes)))
        stage, choices = genes[place], self.widths[place]
        # Width and depth weigh as much as one block: changes at random settings would leave them alone in deep stages.
        what = int(rng.integers(2 + len(stage.blocks)))
        if what == 0:
            stage = replace(stage, width=_other(choices, stage.width, rng))
        elif what == 1:
            deeper = len(stage.blocks) < self.depth and (len(stage.blocks) == 1 or rng.random() < 0.5)
            if deeper:
                stage = replace(stage, blocks=(*stage.blocks, self._draw_block(rng)))
            elif len(stage.blocks) > 1:
                stage = replace(stage, blocks=stage.blocks[:-1])
        else:
            blocks = list(stage.blocks)
            blocks[what - 2] = self._change_block(blocks[what - 2], rng)
            stage = replace(stage, blocks=tuple(blocks))
        return (*genes[:place], stage, *genes[place + 1 :])

    def _change_block(self, block: Block, rng: np.random.Generator) -> Block:
        what = int(rng.integers(3 if block.kind == "m" else 2))
        if what == 0:
            kind = _other(self.kinds, block.kind, rng)
            if kind == block.kind:
                return block
            return Block(kind, block.kernel, _pick(self.expansions, rng) if kind == "m" else 0)
        if what == 1:
            return replace(block, kernel=_other(self.kernels, block.kernel, rng))
        return replace(block, expansion=_other(self.expansions, block.expansion, rng))

    # ------------------------------------------------------------------------------------------------- spelling

    def canonical(self, architecture: Architecture) -> Architecture:
        """The one spelling of a network: without settings that depth or kind switched off."""
        return self.parse(architecture.text)

    def parse(self, text: str) -> Architecture:
        """Read a text, in any spelling (see :mod:`search.spaces.genes`), into its canonical architecture."""
        return self._named(self._checked(text))

    def genes(self, architecture: Architecture) -> Genes:
        """The settings that an architecture's text stands for."""
        return self._checked(architecture.text)

    def _named(self, genes: Genes) -> Architecture:
        return Architecture(write_genes(genes))

    def _checked(self, text: str) -> Genes:
        genes = read_genes(text)
        if len(genes) != len(self.widths):
            raise SpaceError(f"{text!r} has {len(genes)} stages, the space {len(self.widths)}")
        for number, (stage, choices) in enumerate(zip(genes, self.widths, strict=True), 1):
            if stage.width not in choices:
                raise SpaceError(f"{text!r}: stage {number} may be {_listed(choices)} wide, not {stage.width}")
            if len(stage.blocks) > self.depth:
                raise SpaceError(f"{text!r}: stage {number} has {len(stage.blocks)} blocks; {self.depth} are allowed")
            for block in stage.blocks:
                if block not in self._blocks:
                    raise SpaceError(
                        f"{text!r}: the block {block} of stage {number} is not in the space (kinds "
                        f"{_listed(self.kinds)}, kernels {_listed(self.kernels)}, expansions "
                        f"{_listed(self.expansions)})"
                    )
        return genes

    # ------------------------------------------------------------------------------------------------- decisions

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Width and depth of each stage, then kind, kernel and expansion of each block that there may be."""
        found = []
        for place, widths in enumerate(self.widths, 1):
            found.append(Decision(f"stage{place}.width", tuple(map(str, widths))))
            found.append(Decision(f"stage{place}.depth", tuple(map(str, range(1, self.depth + 1)))))
            for index in range(1, self.depth + 1):
                block = f"stage{place}.block{index}"
                found.append(Decision(f"{block}.kind", tuple(self.kinds)))
                found.append(Decision(f"{block}.kernel", tuple(map(str, self.kernels))))
                found.append(Decision(f"{block}.expansion", tuple(map(str, self.expansions))))
        return tuple(found)

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """See :class:`~search.spaces.base.Space`."""
        choices: list[int] = []
        for stage, widths in zip(self.genes(architecture), self.widths, strict=True):
            choices += [widths.index(stage.width), len(stage.blocks) - 1]
            for block in stage.blocks:
                expansion = self.expansions.index(block.expansion) if block.kind == "m" else 0
                choices += [self.kinds.index(block.kind), self.kernels.index(block.kernel), expansion]
            choices += [0, 0, 0] * (self.depth - len(stage.blocks))
        return tuple(choices)

    def decode(self, choices: Sequence[int]) -> Architecture:
        """See :class:`~search.spaces.base.Space`."""
        left = iter(checked_choices(self.decisions, choices))
        stages = []
        for widths in self.widths:
            width, depth = widths[next(left)], next(left) + 1
            blocks = []
            for _ in range(self.depth):
                kind, kernel, expansion = self.kinds[next(left)], self.kernels[next(left)], self.expansions[next(left)]
                blocks.append(Block(kind, kernel, expansion if kind == "m" else 0))
            stages.append(Stage(width, tuple(blocks[:depth])))
        return self._named(tuple(stages))

    # -------------------------------------------------------------------------------------------- what they cost

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Of the stem and of each stage's first block."""
        most = int(math.log2(min(self.image_shape[1:]) / _SMALLEST_MAP))
        stages = len(self.widths)
        return (2 if most > stages else 1, *(2 if index < most else 1 for index in range(stages)))

    def plan(self, architecture: Architecture) -> Plan:
        """The layers of a network with their shapes."""
        _, height, width = self.image_shape
        stem_stride, *strides = self.strides
        size, channels, blocks = halved((height, width), stem_stride), self.stem, list[BlockPlan]()
        for place, (stage, first_stride) in enumerate(zip(self.genes(architecture), strides, strict=True)):
            for index, block in enumerate(stage.blocks):
                stride = first_stride if index == 0 else 1
                hidden = channels * block.expansion
                blocks.append(
                    BlockPlan(place, index, block.kind, channels, hidden, stage.width, block.kernel, stride, size)
                )
                size, channels = halved(size, stride), stage.width
        return Plan(self.image_shape, self.stem, stem_stride, tuple(blocks), self.classes)

    def macs(self, architecture: Architecture) -> int:
        """Multiplications of weights with values for one image; those with padded zeros count."""
        return self.plan(architecture).macs

    def parameters(self, architecture: Architecture) -> int:
        """Trainable parameters, BatchNorm's included."""
        return self.plan(architecture).parameters

    def operators(self, architecture: Architecture) -> dict[str, float]:
        """Its convolutions, by kind and shape."""
        counts: dict[str, float] = {}
        for layer in self.plan(architecture).convolutions():
            counts[layer.key] = counts.get(layer.key, 0.0) + 1.0
        return counts

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Depth and width of each stage; presence, kind, kernel and expansion of each block; costs of the whole."""
        names = []
        for place in range(1, len(self.widths) + 1):
            names += [f"stage{place}.depth", f"stage{place}.width"]
            for index in range(1, self.depth + 1):
                names += [
                    f"stage{place}.block{index}.{what}" for what in ("bottleneck", "plain", "kernel", "expansion")
                ]
        return (*names, "log10_macs", "log10_parameters")

    def features(self, architecture: Architecture) -> NDArray[np.float64]:
        """(F,): as :attr:`feature_names` says; all zeros for a block that is not there."""
        row: list[float] = []
        for stage in self.genes(architecture):
            row += [len(stage.blocks), stage.width]
            for index in range(self.depth):
                if index < len(stage.blocks):
                    block = stage.blocks[index]
                    row += [block.kind == "m", block.kind == "c", block.kernel, block.expansion]
                else:
                    row += [0, 0, 0, 0]
        plan = self.plan(architecture)
        return np.array([*row, math.log10(plan.macs), math.log10(plan.parameters)], dtype=np.float64)

    def module(self, architecture: Architecture) -> nn.Module:
        """A new network with random weights from torch's generator: (N, C, H, W) → logits (N, classes)."""
        from search.spaces.network import Network  # torch takes a second to load

        return Network(self.plan(architecture))


def _pick(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]


def _other(choices: Sequence[T], current: T, rng: np.random.Generator) -> T:
    """A different choice; the same one where it is the only one."""
    others = [choice for choice in choices if choice != current]
    return _pick(others, rng) if others else current


def _listed(choices: Sequence[object]) -> str:
    return ", ".join(map(str, choices))
