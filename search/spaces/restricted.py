"""A space of which only some networks may be asked for: those that a recorded table knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from search.spaces.base import Architecture, Space, SpaceError

#: Draws from the space before a member is picked from the list, as in a table that holds little of its space.
_TRIES = 100


class _Restricted:
    """`space` with a list of members. Mutation, crossover and decoding may lead beyond it."""

    def __init__(self, space: Space, members: Iterable[Architecture], label: str) -> None:
        self._space = space
        # Sorted, so that a draw depends on the generator and not on how the table is ordered.
        self._members = sorted({space.canonical(member) for member in members})
        self._known = frozenset(self._members)
        self._label = label
        if not self._members:
            raise SpaceError(f"none of the networks of {space.name} is in {label}")

    def __getattr__(self, name: str) -> Any:
        if name == "_space":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._space, name)

    @property
    def name(self) -> str:
        return f"{self._space.name}-in-{self._label}"

    def size(self) -> int:
        return len(self._members)

    def allows(self, architecture: Architecture) -> bool:
        return architecture in self._known

    def sample(self, rng: np.random.Generator) -> Architecture:
        for _ in range(_TRIES):
            drawn = self._space.sample(rng)
            if drawn in self._known:
                return drawn
        return self._members[int(rng.integers(len(self._members)))]


def restricted(space: Space, members: Iterable[Architecture], label: str) -> Space:
    """`space`, of which only `members` may be asked for, drawn as the space draws them where it can.

    Args:
        space: which varies its networks as before.
        members: in any spelling.
        label: what tells this restriction from others, for example the table's name.

    Raises:
        SpaceError: no member, or one that is no network of the space.
    """
    limited = _Restricted(space, members, label)
    if TYPE_CHECKING:
        return space
    return limited
