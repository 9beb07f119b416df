"""Expected hypervolume improvement: by how much a network that is not measured yet may be hoped to push the front.

::

    cost 2 ▲     ┌───┐
           │  1  │   │ reference         What no point of the front dominates is cut into boxes, here 1, 2, 3.
           │     ● 2 │                   A candidate x adds to each box [l, u] the product, over the objectives, of
           │     └─┐ │
           │       ● 3                       max(u − x, 0) − max(l − x, 0)
           └─────────────▶ cost 1
                                         and, if x is normal and independent in each, the product of their expectations.

The same as Emmerich et al. (2011) and Yang et al. (2019), "Efficient computation of expected hypervolume improvement
using box decomposition algorithms", who have fewer boxes for three objectives; the cuts here serve any number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.pareto import Points

#: A standard deviation below this is none.
_EXACT = 1e-12
#: Candidates × boxes worked on at once: 32 MB of numbers.
_AT_ONCE = 4_000_000


@dataclass(frozen=True, eq=False)
class Boxes:
    """What is better than the reference point and not dominated, in boxes that do not overlap.

    Attributes:
        lower: (B, objectives); minus infinity where a box has no end.
        upper: (B, objectives).
    """

    lower: Points
    upper: Points

    @classmethod
    def around(cls, front: Points, reference: Points) -> Boxes:
        """The boxes that `front` leaves.

        Args:
            front: costs, (points, objectives); dominated ones change nothing.
            reference: (objectives,).
        """
        boxes = cls(np.full((1, len(reference)), -math.inf), reference[None, :].astype(np.float64))
        # Points in the middle first: they cut most, and leave the fewest pieces.
        for point in front[np.argsort(front.sum(axis=1), kind="stable")]:
            boxes = boxes.cut(point)
        return boxes

    def cut(self, point: Points) -> Boxes:
        """What is left when `point` is on the front too.

        Args:
            point: costs, (objectives,).
        """
        hit = (point < self.upper).all(axis=1)
        if not hit.any():
            return self
        lower, upper = self.lower[hit], self.upper[hit]
        lowers, uppers = [self.lower[~hit]], [self.upper[~hit]]
        for axis in range(len(point)):
            # What is better than the point in this objective, and not in those before.
            better = lower[:, axis] < point[axis]
            piece = upper[better].copy()
            piece[:, axis] = point[axis]
            lowers.append(lower[better])
            uppers.append(piece)
            lower = lower.copy()
            lower[:, axis] = np.maximum(lower[:, axis], point[axis])
        return Boxes(np.vstack(lowers), np.vstack(uppers))

    def expected_improvement(self, mean: Points, std: Points) -> NDArray[np.float64]:
        """The hypervolume that candidates add, each on its own: (candidates,).

        Args:
            mean: expected costs, (candidates, objectives).
            std: their standard deviations; 0 for what is known.
        """
        rows = max(1, _AT_ONCE // len(self.upper)) if len(self.upper) else len(mean)
        parts = [self._expected(mean[at : at + rows], std[at : at + rows]) for at in range(0, len(mean), rows)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _expected(self, mean: Points, std: Points) -> NDArray[np.float64]:
        product = np.ones((len(mean), len(self.upper)))
        for axis in range(mean.shape[1]):
            ends, places = np.unique(np.concatenate([self.lower[:, axis], self.upper[:, axis]]), return_inverse=True)
            below = _expected_gap(ends, mean[:, axis, None], np.maximum(std[:, axis, None], _EXACT))
            lower, upper = places[: len(self.lower)], places[len(self.lower) :]
            product *= below[:, upper] - below[:, lower]
        total: NDArray[np.float64] = product.sum(axis=1)
        return total


def _expected_gap(ends: NDArray[np.float64], mean: Points, std: Points) -> Points:
    """E max(end − x, 0) for normal x: (candidates, ends); 0 for an end of minus infinity."""
    from scipy.special import ndtr

    finite = np.isfinite(ends)
    gaps = np.zeros((len(mean), len(ends)))
    distance = (ends[finite] - mean) / std
    gaps[:, finite] = std * (distance * ndtr(distance) + np.exp(-0.5 * distance**2) / math.sqrt(2 * math.pi))
    return gaps
