"""Improvement by boxes: against hypervolumes by moocore, and expectations against draws."""

from __future__ import annotations

import moocore  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search.strategies.volumes import Boxes

REFERENCE = 1.1


def boxes_around(front: np.ndarray) -> Boxes:
    return Boxes.around(front, np.full(front.shape[1], REFERENCE))


def volume(points: np.ndarray) -> float:
    return float(moocore.hypervolume(points, ref=np.full(points.shape[1], REFERENCE)))


@st.composite
def fronts_and_candidates(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Points on a coarse grid, so that equal and dominated ones and ties are common; some beyond the reference."""
    objectives = draw(st.integers(1, 4))
    cells = st.integers(-2, 7).map(lambda cell: cell / 6)
    front = draw(arrays(np.float64, (draw(st.integers(0, 12)), objectives), elements=cells))
    candidates = draw(arrays(np.float64, (draw(st.integers(1, 4)), objectives), elements=cells))
    return front, candidates


@settings(deadline=None, max_examples=200)
@given(fronts_and_candidates())
def test_the_improvement_of_the_known_is_the_difference_of_hypervolumes(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    front, candidates = case
    found = boxes_around(front).expected_improvement(candidates, np.zeros_like(candidates))
    before = volume(front) if len(front) else 0.0
    expected = [volume(np.vstack([front, candidate])) - before for candidate in candidates]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@settings(deadline=None, max_examples=100)
@given(fronts_and_candidates())
def test_boxes_do_not_overlap_and_a_cut_leaves_what_the_whole_front_leaves(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    front, candidates = case
    whole = boxes_around(np.vstack([front, candidates]))
    bit_by_bit = boxes_around(front)
    for candidate in candidates:
        bit_by_bit = bit_by_bit.cut(candidate)
    for boxes in (whole, bit_by_bit):
        # From a floor below all points the boxes' volumes and the dominated one make the whole.
        floor = np.full(front.shape[1], -1.0)
        sizes = np.prod(boxes.upper - np.maximum(boxes.lower, floor), axis=1)
        total = sizes.sum() + volume(np.vstack([front, candidates]))
        assert total == pytest.approx((REFERENCE + 1.0) ** front.shape[1])


@pytest.mark.parametrize("objectives", [2, 3])
def test_expected_improvement_is_the_mean_of_improvements(objectives: int) -> None:
    rng = np.random.default_rng(0)
    front = rng.uniform(size=(8, objectives))
    mean, std = np.full((1, objectives), 0.4), np.full((1, objectives), 0.3)
    drawn = rng.normal(mean, std, size=(100_000, objectives))
    boxes = boxes_around(front)
    improvements = boxes.expected_improvement(drawn, np.zeros_like(drawn))
    error = improvements.std() / np.sqrt(len(drawn))
    assert boxes.expected_improvement(mean, std)[0] == pytest.approx(improvements.mean(), abs=4 * error)


def test_who_is_surely_dominated_or_beyond_the_reference_improves_nothing() -> None:
    boxes = boxes_around(np.array([[0.5, 0.5]]))
    candidates = np.array([[0.5, 0.5], [0.6, 0.9], [1.2, 0.0]])
    assert boxes.expected_improvement(candidates, np.zeros((3, 2))) == pytest.approx(0.0, abs=1e-9)
