"""Which of a cell's sets of weights each of its edges draws from (the GATE module of CLOSE, Zhou et al. 2022).

::

    edge ─ where from, where to, its operation, ╶╴ perceptron ─▶ a logit for each set ─▶ one set
           what enters its source, what leaves its target

In the paper a graph network encodes the whole architecture and the nodes at both ends of an edge make the logits; here
the edge sees its neighbours alone. In training a set is drawn with the softmax of the logits as probabilities (largest
logit plus Gumbel noise, as the paper draws), else the largest logit decides. The paper runs an edge with all sets,
weighted by a straight-through sample; here the drawn set alone is run, and its output multiplied by 1 + p − p with a
gradient through the first p: the gate learns from the set that was used, and a step costs what that of a single path
does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

_HIDDEN = 32


class Edge(NamedTuple):
    """An edge of a cell with what it does.

    Attributes:
        source: map that it comes from.
        target: map that it enters.
        operation: name.
        stride: 1 or 2.
    """

    source: int
    target: int
    operation: str
    stride: int = 1


class Pick(NamedTuple):
    """The weights that an edge draws.

    Attributes:
        number: of the set.
        factor: 1, with a gradient towards the gate, for the output to be multiplied by; None: no such gradient.
    """

    number: int
    factor: Tensor | None


class Gate(nn.Module):
    """A perceptron with one hidden layer.

    Args:
        kinds: of cells, with all edges that there may be.
        sets: at last.
    """

    def __init__(self, kinds: Mapping[str, Sequence[Edge]], sets: int) -> None:
        super().__init__()
        every = [edge for edges in kinds.values() for edge in edges]
        self._kinds = {name: place for place, name in enumerate(kinds)}
        self._operations = {name: place for place, name in enumerate(sorted({edge.operation for edge in every}))}
        self._nodes = 1 + max(edge.target for edge in every)
        features = len(kinds) + 2 * self._nodes + 3 * len(self._operations)
        self.hidden = nn.Parameter(torch.randn(features, _HIDDEN) / math.sqrt(features))
        # All sets are as good as each other at first.
        self.logits = nn.Parameter(torch.zeros(_HIDDEN, sets))

    def forward(self, kind: str, edges: Sequence[Edge], sets: int, rng: np.random.Generator | None) -> dict[Edge, Pick]:
        """Choose.

        Args:
            kind: of the cell.
            edges: of the cell, the live ones.
            sets: to choose among, 1 or more.
            rng: to draw from; None: the largest logit decides.
        """
        if sets == 1 or not edges:
            return {edge: Pick(0, None) for edge in edges}
        features = torch.from_numpy(self._features(kind, edges)).to(self.hidden)
        # Products of matrices, not layers: faults are for what is deployed, and the gate is not.
        logits = (features @ self.hidden).relu() @ self.logits[:, :sets]
        if rng is None:
            return {edge: Pick(number, None) for edge, number in zip(edges, logits.argmax(1).tolist(), strict=True)}
        noise = torch.from_numpy(rng.gumbel(size=(len(edges), sets))).to(logits)
        numbers = (logits + noise).argmax(1).tolist()
        shares = logits.softmax(1)
        picks = {}
        for place, (edge, number) in enumerate(zip(edges, numbers, strict=True)):
            share = shares[place, number]
            picks[edge] = Pick(number, 1 + (share - share.detach()))
        return picks

    @torch.no_grad()
    def inherit(self, number: int) -> None:
        """A new set begins as good as the one before it."""
        self.logits[:, number] = self.logits[:, number - 1]

    def _features(self, kind: str, edges: Sequence[Edge]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        rows = np.zeros((len(edges), len(self.hidden)), dtype=np.float32)
        node, operation = len(self._kinds), len(self._kinds) + 2 * self._nodes
        for row, edge in zip(rows, edges, strict=True):
            row[self._kinds[kind]] = 1
            row[node + edge.source] = row[node + self._nodes + edge.target] = 1
            row[operation + self._operations[edge.operation]] = 1
            for other in edges:
                place = self._operations[other.operation]
                if other.target == edge.source:
                    row[operation + len(self._operations) + place] += 1
                if other.source == edge.target:
                    row[operation + 2 * len(self._operations) + place] += 1
        return rows
