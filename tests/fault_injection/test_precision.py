"""Student's quantiles, planned looks, and what an interval is worth."""

from __future__ import annotations

import math
from typing import List

import numpy as np
import pytest

from fault_injection.precision import Precision, mean_and_half_width, student_t_quantile


@pytest.mark.parametrize(
    ("probability", "degrees", "quantile"),
    # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2
    [
        (0.90, 1, 3.078),
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.999, 2, 22.327),
        (0.95, 3, 2.353),
        (0.975, 4, 2.776),
        (0.995, 5, 4.032),
        (0.975, 10, 2.228),
        (0.975, 29, 2.045),
        (0.975, 30, 2.042),
        (0.999, 60, 3.232),
        (0.975, 100, 1.984),
    ],
)
def test_quantiles_agree_with_the_printed_table(probability: float, degrees: int, quantile: float) -> None:
    assert student_t_quantile(probability, degrees) == pytest.approx(quantile, abs=6e-4)


def test_quantiles_of_one_and_two_degrees_have_closed_forms() -> None:
    for probability in (0.5, 0.6, 0.9, 0.99, 0.9999):
        assert student_t_quantile(probability, 1) == pytest.approx(math.tan(math.pi * (probability - 0.5)), abs=1e-9)
        odds = 2 * probability - 1
        assert student_t_quantile(probability, 2) == pytest.approx(odds * math.sqrt(2 / (1 - odds**2)), abs=1e-9)


def test_many_degrees_are_nearly_normal() -> None:
    assert student_t_quantile(0.975, 9999) == pytest.approx(1.959964 + (1.959964**3 + 1.959964) / 4 / 9999, abs=1e-6)


def test_a_mean_has_the_textbook_interval() -> None:
    mean, half_width = mean_and_half_width([0.5, 0.7, 0.9], 0.95)
    assert mean == pytest.approx(0.7)
    assert half_width == pytest.approx(4.302653 * 0.2 / math.sqrt(3), rel=1e-6)
    assert mean_and_half_width([0.5], 0.95) == (0.5, math.inf)


def looks(precision: Precision) -> List[int]:
    found = [precision.next_look(0)]
    while found[-1] < precision.most:
        found.append(precision.next_look(found[-1]))
    return found


def test_looks_lie_geometrically_apart_and_end_at_the_cap() -> None:
    assert looks(Precision(0.01, 0.95, 30, 200)) == [30, 39, 51, 67, 88, 115, 150, 195, 200]
    assert looks(Precision(0.01, 0.95, 2, 9)) == [2, 3, 4, 6, 8, 9]
    assert looks(Precision(0.01, 0.95, 50, 50)) == [50]


def test_equal_values_are_precise_and_no_width_is_never_reached_otherwise() -> None:
    assert Precision(0.0, 0.95, 2, 9).reached([0.25] * 30)
    assert not Precision(0.0, 0.95, 2, 9).reached([0.25, 0.26] * 1000)


def test_stopping_when_narrow_costs_little_coverage() -> None:
    """Simulated: 95 % intervals, stopped at a half-width that 30 to 200 patterns give."""
    precision = Precision(0.02, 0.95, 30, 400)
    random = np.random.default_rng(4)
    covered, runs = 0, 1000
    for _ in range(runs):
        values = (0.7 + 0.1 * random.standard_normal(precision.most)).tolist()
        look = precision.next_look(0)
        while look < precision.most and not precision.reached(values[:look]):
            look = precision.next_look(look)
        mean, half_width = mean_and_half_width(values[:look], 0.95)
        covered += abs(mean - 0.7) <= half_width
    assert 0.92 <= covered / runs <= 0.965
