"""A recurrent controller (Zoph & Le 2017): each decision is drawn knowing those before it.

::

    first ──▶ LSTM ──▶ LSTM ──▶ LSTM ──▶ …          one step for each decision
               │  ╲     │  ╲     │
              head  ╲  head  ╲  head                 logits of its options
               ▼     ╲  ▼     ╲  ▼
             choice ──▶choice ──▶choice …            embedded, the input of the next step
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

HIDDEN = 64
#: Weights at first, evenly between minus and plus this (Pham et al. 2018): all options are about equally likely.
_SPREAD = 0.1


class Controller(nn.Module):
    """P(y | first) as a product over decisions.

    Attributes:
        options: of each decision.
    """

    def __init__(self, options: Sequence[int], seed: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.options = tuple(options)
        self._embeddings = nn.ModuleList(nn.Embedding(count, hidden) for count in options[:-1])
        self._cell = nn.LSTMCell(hidden, hidden)
        self._heads = nn.ModuleList(nn.Linear(hidden, count) for count in options)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -_SPREAD, _SPREAD, generator=generator)

    @torch.no_grad()
    def sample(self, first: Tensor, uniforms: Tensor) -> Tensor:
        """Draw.

        Args:
            first: input of the first step, (N, hidden).
            uniforms: independent random numbers in [0, 1), (N, decisions).

        Returns:
            Choices, (N, decisions).
        """

        def pick(place: int, logs: Tensor) -> Tensor:
            edges = logs.exp().cumsum(dim=1)[:, :-1]
            return (uniforms[:, place, None] >= edges).sum(dim=1)

        return self._walk(first, pick)[0]

    def forward(self, first: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability, and the entropies of the decisions summed, given those before: (N,) each.

        Args:
            first: as for `sample`.
            choices: (N, decisions).
        """
        _, logs = self._walk(first, lambda place, _: choices[:, place])
        taken = [log.gather(1, choices[:, place, None])[:, 0] for place, log in enumerate(logs)]
        entropies = [-(log.exp() * log).sum(dim=1) for log in logs]
        return torch.stack(taken).sum(dim=0), torch.stack(entropies).sum(dim=0)

    def _walk(self, first: Tensor, pick: Callable[[int, Tensor], Tensor]) -> tuple[Tensor, list[Tensor]]:
        given, state = first, None
        chosen, logs = [], []
        for place, head in enumerate(self._heads):
            state = self._cell(given, state)
            logs.append(torch.log_softmax(head(state[0]), dim=1))
            chosen.append(pick(place, logs[-1]))
            if place < len(self._embeddings):
                given = self._embeddings[place](chosen[-1])
        return torch.stack(chosen, dim=1), logs
