"""Drawing and varying networks by their decisions alone: what a space inherits that has nothing better to say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from search.spaces.base import Architecture, Decision, Space, SpaceError

#: Changes that made the same network in another spelling, before a mutation gives up.
_TRIES = 1000


class ByDecisions(ABC):
    """Sampling, mutation and crossover by decisions: every option evenly, every decision for itself."""

    @property
    @abstractmethod
    def decisions(self) -> tuple[Decision, ...]:
        """See :class:`~search.spaces.base.Space`."""

    @abstractmethod
    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """See :class:`~search.spaces.base.Space`."""

    @abstractmethod
    def decode(self, choices: Sequence[int]) -> Architecture:
        """See :class:`~search.spaces.base.Space`."""

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw every decision evenly and independently."""
        return self.decode([int(rng.integers(len(decision.options))) for decision in self.decisions])

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Change one decision to another option, so that it makes another network.

        Raises:
            SpaceError: the space holds one network only.
        """
        before = self.encode(architecture)
        for _ in range(_TRIES):
            place = int(rng.integers(len(before)))
            options = len(self.decisions[place].options)
            if options == 1:
                continue
            changed = list(before)
            changed[place] = (changed[place] + int(rng.integers(1, options))) % options
            neighbour = self.decode(changed)
            if neighbour != architecture:
                return neighbour
        raise SpaceError(f"no change of one decision makes another network of {architecture}")

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator) -> Architecture:
        """Take each decision from either parent."""
        pairs = zip(self.encode(first), self.encode(second), strict=True)
        return self.decode([pair[int(rng.integers(2))] for pair in pairs])


def neighbours(space: Space, architecture: Architecture) -> Iterator[Architecture]:
    """All networks that one changed decision makes, each once, without the network itself.

    Decisions that others switch off change nothing, and so have no neighbours.
    """
    before = space.encode(architecture)
    seen = {architecture}
    for place, decision in enumerate(space.decisions):
        for option in range(len(decision.options)):
            neighbour = space.decode([*before[:place], option, *before[place + 1 :]])
            if neighbour not in seen:
                seen.add(neighbour)
                yield neighbour


def checked_choices(decisions: Sequence[Decision], choices: Sequence[int]) -> tuple[int, ...]:
    """`choices` if there is one for each decision, and each is an option.

    Raises:
        SpaceError: there is not.
    """
    if len(choices) != len(decisions):
        raise SpaceError(f"{len(choices)} choices for {len(decisions)} decisions")
    for choice, decision in zip(choices, decisions, strict=True):
        if not 0 <= choice < len(decision.options):
            raise SpaceError(f"{decision.name} has options 0 to {len(decision.options) - 1}, not {choice}")
    return tuple(int(choice) for choice in choices)
