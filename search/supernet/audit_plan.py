"""What an audit compares, and for what effort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search.errors import SearchError
from search.spaces import Architecture
from search.spaces.base import Space
from search.supernet.settings import TrainSettings

CLEAN = "accuracy"
"""The quantity without faults."""
STANDALONE = TrainSettings(epochs=6, learning_rate=0.1, weight_decay=5e-4)
"""How networks are trained alone, unless told."""


@dataclass(frozen=True)
class AuditPlan:
    """What is to be compared, and for what effort.

    Attributes:
        subnets: different networks, drawn from the space.
        seeds: trainings of each; the second shows how much seeds alone differ.
        settings: of those trainings.
        seed: of the sample, and the first one of the trainings.
        conditions: fault conditions to judge under as well, canonical.
        patterns: of faults under each, 2 or more.
        images: most validation images under each pattern; all if None.
        fault_seed: of the patterns that networks with inherited weights are judged under.
        budget_s: processor seconds of training after which no further network is begun; None: no bound.
    """

    subnets: int = 30
    seeds: int = 2
    settings: TrainSettings = STANDALONE
    seed: int = 0
    conditions: tuple[str, ...] = ()
    patterns: int = 30
    images: int | None = None
    fault_seed: int = 0
    budget_s: float | None = None

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ValueError: a number outside its range.
        """
        for name, least in (("subnets", 1), ("seeds", 1), ("seed", 0), ("patterns", 2), ("fault_seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more: {getattr(self, name)}")
        if self.budget_s is not None and not self.budget_s > 0:
            raise ValueError(f"budget_s must be positive: {self.budget_s}")


def sample_networks(space: Space, subnets: int, seed: int) -> list[Architecture]:
    """Different networks, drawn as the space draws them; a larger sample begins with the smaller one.

    Raises:
        SearchError: the space holds fewer.
    """
    if space.size() < subnets:
        raise SearchError(f"the space holds {space.size()} networks, fewer than {subnets}", "audit fewer of them")
    rng, sample = np.random.default_rng(seed), dict[Architecture, None]()  # in order, each once
    while len(sample) < subnets:
        sample.setdefault(space.sample(rng))
    return list(sample)


def quantity_of(condition: str) -> str:
    """Accuracy under a fault condition, named as objectives name it."""
    return f"{CLEAN}@{condition}"
