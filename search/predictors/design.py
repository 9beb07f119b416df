"""What predictors see of architectures, as matrices; worked out once for each architecture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.errors import BuildError

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

#: Rows kept. A search over a large space looks at many networks once, and need not remember them all.
MOST_ROWS = 50_000


class Design:
    """Rows of architectures of one space, to be shared by all predictors of it.

    Attributes:
        space: whose architectures they are.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._columns: dict[str, int] = {}
        self._offsets = np.cumsum([0, *(len(decision.options) for decision in space.decisions)])
        self._forget()

    def _forget(self) -> None:
        self._places: dict[str, int] = {}
        self._features = np.empty((256, len(self.space.feature_names) + int(self._offsets[-1])))
        self._counts = np.zeros((256, len(self._columns) + 8))
        self._macs = np.empty(256)

    def features(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """(N, F): the space's features, then each decision one-hot.

        Raises:
            SpaceError: one of them is no network of the space.
        """
        rows = self._rows(architectures)  # may replace the matrix
        return self._features[rows]

    def operators(self, architectures: Sequence[Architecture]) -> list[str]:
        """The operators that any of them runs, sorted: in an order that does not depend on what was seen before.

        Raises:
            SpaceError: one of them is no network of the space.
        """
        rows = self._rows(architectures)
        run = self._counts[rows].sum(axis=0)
        return sorted(key for key, column in self._columns.items() if run[column] > 0.0)

    def counts(self, architectures: Sequence[Architecture], operators: Sequence[str]) -> NDArray[np.float64]:
        """(N, K): how often each runs these operators, which :meth:`operators` gave.

        Raises:
            SpaceError: one of them is no network of the space.
        """
        rows = self._rows(architectures)
        columns = np.array([self._columns[key] for key in operators], dtype=np.int64)
        return self._counts[np.ix_(rows, columns)]

    def macs(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """(N,): multiply-accumulates.

        Raises:
            SpaceError: one of them is no network of the space.
        """
        rows = self._rows(architectures)
        return self._macs[rows]

    def _rows(self, architectures: Sequence[Architecture]) -> NDArray[np.int64]:
        found = [self._places.get(architecture.text, -1) for architecture in architectures]
        new = found.count(-1)
        if new:
            if len(self._places) + new > MOST_ROWS:
                self._forget()
            places = self._places
            found = [places[a.text] if a.text in places else self._add(a) for a in architectures]
        return np.array(found, dtype=np.int64)

    def _add(self, architecture: Architecture) -> int:
        # All that may refuse the architecture comes first, so that no half of a row is kept.
        features, choices = self.space.features(architecture), self.space.encode(architecture)
        counts = self.space.operators(architecture)
        try:
            macs = self.space.macs(architecture)
        except BuildError:  # a user's function that fails for it: there is nothing to run
            macs = 0
        place = len(self._places)
        for key in counts:
            self._columns.setdefault(key, len(self._columns))
        self._counts = _grown(self._counts, place, len(self._columns))
        self._features = _grown(self._features, place, self._features.shape[1])
        self._macs = _grown(self._macs[:, None], place, 1)[:, 0]
        row = self._features[place]
        row[: len(features)] = features
        row[len(features) :] = 0.0
        row[len(features) + self._offsets[:-1] + choices] = 1.0
        for key, count in counts.items():
            self._counts[place, self._columns[key]] = count
        self._macs[place] = macs
        self._places[architecture.text] = place
        return place


def _grown(matrix: NDArray[np.float64], row: int, columns: int) -> NDArray[np.float64]:
    """The matrix itself if it has that row and as many columns; else a larger one with its values and zeros."""
    rows, had = matrix.shape
    if row < rows and columns <= had:
        return matrix
    larger = np.zeros((rows if row < rows else 2 * rows, had if columns <= had else 2 * columns))
    larger[:rows, :had] = matrix
    return larger
