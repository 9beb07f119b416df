"""Networks with the choice of how they are stored: a precision for the network, its stages or layers, and clipping.

::

    text  =  text of the network  _q  a letter for each part that it has  share of the largest weight, in thousandths
             m16-m3e2_c8-c5       _q  bwb                                 900

The weights of a network do not depend on how they are stored: they come from the space inside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.spaces.base import Architecture, Decision, Space, SpaceError
from search.spaces.mobile import MobileSpace
from search.spaces.storage import PRECISIONS, Per, Storage, StoredLayer, layers_of, parts_of
from search.spaces.variation import checked_choices

if TYPE_CHECKING:
    from torch import nn

_THOUSAND = 1000
_MARK = "_q"
_SUFFIX = re.compile("([a-z]+)([0-9]+)")
#: Least share of mutations that change how a network is stored: there are few such choices, and much hangs on them.
_STORED_DIFFERENTLY = 0.2
_CLIP = "stored.clip"


@dataclass(frozen=True)
class _Stored:
    """A network of the space inside, and how it is stored.

    Attributes:
        network: canonical.
        choices: of a precision, for each part; None for parts that the network has not got.
        clip: index of the share.
    """

    network: Architecture
    choices: tuple[int | None, ...]
    clip: int


@dataclass(frozen=True)
class QuantizedSpace:
    """The space.

    Attributes:
        inner: whose networks are stored.
        precisions: choices, keys of :data:`~search.spaces.storage.PRECISIONS`.
        per: what has a choice of its own.
        clips: choices of the share of each layer's largest weight to which the others are cut, above 0, at most 1.
    """

    inner: Space
    precisions: tuple[str, ...] = ("int8",)
    per: Per = "network"
    clips: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SpaceError: they contradict each other.
        """
        if not self.precisions or len(set(self.precisions)) < len(self.precisions):
            raise SpaceError(f"quantization: precisions must be different ones: {', '.join(self.precisions) or 'none'}")
        if unknown := [name for name in self.precisions if name not in PRECISIONS]:
            raise SpaceError(f"quantization: no precision {unknown[0]!r}; there are {', '.join(PRECISIONS)}")
        if not self.clips or any(not 0 < clip <= 1 for clip in self.clips):
            raise SpaceError(f"quantization: clip takes shares above 0 and at most 1: {self.clips}")
        if any(abs(clip * _THOUSAND - share) > 1e-9 for clip, share in zip(self.clips, self._shares, strict=True)):
            raise SpaceError(f"quantization: clip takes whole thousandths: {self.clips}")
        if len(set(self._shares)) < len(self._shares):
            raise SpaceError(f"quantization: clip takes different shares: {self.clips}")
        if len(self.precisions) * len(self.clips) == 1:
            raise SpaceError("quantization: with one precision and one clip there is nothing to choose; add another")
        parts_of(self.inner, self.per)

    @cached_property
    def _shares(self) -> tuple[int, ...]:
        return tuple(round(clip * _THOUSAND) for clip in self.clips)

    @cached_property
    def _letters(self) -> str:
        return "".join(PRECISIONS[name][0] for name in self.precisions)

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """What has a precision of its own, in order; a network may lack some."""
        return parts_of(self.inner, self.per)

    @cached_property
    def name(self) -> str:
        """All settings."""
        return f"{self.inner.name}-stored-{self._letters}-{self.per}-{'_'.join(map(str, self._shares))}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return self.inner.image_shape

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self.inner.classes

    def size(self) -> int:
        """Number of different ones; an upper bound where networks lack some of the parts."""
        stored: int = len(self.precisions) ** len(self.parts) * len(self.clips)
        return self.inner.size() * stored

    def allows(self, architecture: Architecture) -> bool:
        """See :class:`~search.spaces.base.Space`."""
        return self.inner.allows(self.network(architecture))

    # ------------------------------------------------------------------------------------------------- what it is

    def network(self, architecture: Architecture) -> Architecture:
        """The network of the space inside, which has the weights."""
        return self._read(architecture.text).network

    def storage(self, architecture: Architecture) -> Storage:
        """How it is stored."""
        stored = self._read(architecture.text)
        names = self._precisions(stored)
        clip = self.clips[stored.clip]
        if self.per == "network":
            return Storage(names["network"], {}, clip)
        layers = {layer.path: names[layer.part] for layer in self._layers(stored.network)}
        return Storage(self.precisions[0], layers, clip)

    def _layers(self, network: Architecture) -> list[StoredLayer]:
        assert isinstance(self.inner, MobileSpace)
        return list(layers_of(self.inner, network, self.per))

    def _present(self, network: Architecture) -> frozenset[str]:
        if self.per != "layer":
            return frozenset(self.parts)
        return frozenset(layer.part for layer in self._layers(network))

    def _precisions(self, stored: _Stored) -> dict[str, str]:
        """By part, of those that the network has."""
        pairs = zip(self.parts, stored.choices, strict=True)
        return {part: self.precisions[choice] for part, choice in pairs if choice is not None}

    # -------------------------------------------------------------------------------------------------- variation

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw a network as its space does, and every choice of how it is stored evenly."""
        network = self.inner.sample(rng)
        choices = [int(rng.integers(len(self.precisions))) for _ in self.parts]
        return self._made(network, choices, int(rng.integers(len(self.clips))))

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Another network, stored alike; or the same network with one change of how it is stored."""
        stored = self._read(architecture.text)
        places = [place for place, choice in enumerate(stored.choices) if choice is not None]
        own = (len(places) if len(self.precisions) > 1 else 0) + (len(self.clips) > 1)
        inner = len(self.inner.decisions)
        if self.inner.size() > 1 and rng.random() >= max(own / (own + inner), _STORED_DIFFERENTLY):
            choices = [choice or 0 for choice in stored.choices]
            return self._made(self.inner.mutate(stored.network, rng), choices, stored.clip)
        choices, clip = [choice or 0 for choice in stored.choices], stored.clip
        place = int(rng.integers(own))
        if len(self.precisions) == 1 or place == len(places):
            clip = (clip + int(rng.integers(1, len(self.clips)))) % len(self.clips)
        else:
            changed = choices[places[place]] + int(rng.integers(1, len(self.precisions)))
            choices[places[place]] = changed % len(self.precisions)
        return self._made(stored.network, choices, clip)

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator) -> Architecture:
        """A child of both networks, each part of it stored as in either parent that has it."""
        one, other = self._read(first.text), self._read(second.text)
        network = self.inner.crossover(one.network, other.network, rng)
        choices = []
        for pair in zip(one.choices, other.choices, strict=True):
            known = [choice for choice in pair if choice is not None]
            choices.append(known[int(rng.integers(len(known)))] if known else 0)
        return self._made(network, choices, (one.clip, other.clip)[int(rng.integers(2))])

    # --------------------------------------------------------------------------------------------------- spelling

    def canonical(self, architecture: Architecture) -> Architecture:
        """The one spelling."""
        return self.parse(architecture.text)

    def parse(self, text: str) -> Architecture:
        """Read a text, in any spelling of the network, into its canonical architecture."""
        return self._written(self._read(text))

    def _read(self, text: str) -> _Stored:
        before, _, after = text.rpartition(_MARK)
        match = _SUFFIX.fullmatch(after)
        if not before or match is None:
            raise SpaceError(
                f"{text!r} does not say how it is stored: end it with {_MARK}, letters of {self._letters} and a share "
                f"in thousandths, for example {_MARK}{self._letters[0] * len(self.parts)}{self._shares[0]}"
            )
        network = self.inner.parse(before)
        present = self._present(network)
        letters, share = match.groups()
        if share not in map(str, self._shares):
            raise SpaceError(f"{text!r}: the share may be {', '.join(map(str, self._shares))} thousandths, not {share}")
        if len(letters) != len(present) or not set(letters) <= set(self._letters):
            raise SpaceError(f"{text!r}: {len(present)} letters of {self._letters} say how it is stored, not {letters}")
        left = iter(letters)
        choices = tuple(self._letters.index(next(left)) if part in present else None for part in self.parts)
        return _Stored(network, choices, self._shares.index(int(share)))

    def _made(self, network: Architecture, choices: Sequence[int], clip: int) -> Architecture:
        """Choices of parts that the network has not got are left out."""
        present = self._present(network)
        kept = (choice if part in present else None for part, choice in zip(self.parts, choices, strict=True))
        return self._written(_Stored(network, tuple(kept), clip))

    def _written(self, stored: _Stored) -> Architecture:
        letters = "".join(self._letters[choice] for choice in stored.choices if choice is not None)
        return Architecture(f"{stored.network.text}{_MARK}{letters}{self._shares[stored.clip]}")

    # -------------------------------------------------------------------------------------------------- decisions

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Those of the network, then the precision of each part, and the share."""
        return (
            *self.inner.decisions,
            *(Decision(f"stored.{part}.precision", self.precisions) for part in self.parts),
            Decision(_CLIP, tuple(f"{clip:g}" for clip in self.clips)),
        )

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """See :class:`~search.spaces.base.Space`."""
        stored = self._read(architecture.text)
        choices = (choice or 0 for choice in stored.choices)
        return (*self.inner.encode(stored.network), *choices, stored.clip)

    def decode(self, choices: Sequence[int]) -> Architecture:
        """See :class:`~search.spaces.base.Space`."""
        checked = checked_choices(self.decisions, choices)
        of_network = len(self.inner.decisions)
        return self._made(self.inner.decode(checked[:of_network]), checked[of_network:-1], checked[-1])

    # --------------------------------------------------------------------------------------------- what they cost

    def operators(self, architecture: Architecture) -> Mapping[str, float]:
        """Those of the network; behind the key of one that is not in int8 stands its precision."""
        stored = self._read(architecture.text)
        names = self._precisions(stored)
        if self.per == "network":
            return {_key(key, names["network"]): n for key, n in self.inner.operators(stored.network).items()}
        counts: dict[str, float] = {}
        for layer in self._layers(stored.network):
            if layer.key:
                key = _key(layer.key, names[layer.part])
                counts[key] = counts.get(key, 0.0) + 1.0
        return counts

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Those of the network, then bits of a weight and of a value in each part, and the share."""
        stored = (f"stored.{part}.{what}_bits" for part in self.parts for what in ("weight", "value"))
        return (*self.inner.feature_names, *stored, _CLIP)

    def features(self, architecture: Architecture) -> NDArray[np.float64]:
        """(F,): as :attr:`feature_names` says; 0 bits for a part that is not there."""
        stored = self._read(architecture.text)
        names = self._precisions(stored)
        bits = [number for part in self.parts for number in (PRECISIONS[names[part]][1:] if part in names else (0, 0))]
        own = np.array([*bits, self.clips[stored.clip]], np.float64)
        return np.concatenate([self.inner.features(stored.network), own])

    def macs(self, architecture: Architecture) -> int:
        """Of the network."""
        return self.inner.macs(self.network(architecture))

    def parameters(self, architecture: Architecture) -> int:
        """Of the network."""
        return self.inner.parameters(self.network(architecture))

    def module(self, architecture: Architecture) -> nn.Module:
        """The network, in float32."""
        return self.inner.module(self.network(architecture))


def _key(operator: str, precision: str) -> str:
    # int8 is what networks were stored in before there was a choice: what was learned of it holds.
    return operator if precision == "int8" else f"{operator} {precision}"


def network_space(space: Space) -> Space:
    """The space of the networks themselves, whatever choices there are of how they are stored."""
    return space.inner if isinstance(space, QuantizedSpace) else space
