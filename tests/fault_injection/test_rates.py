from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fault_injection.errors import FaultError
from fault_injection.rates import parse_rates


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("1e-6:1e-2", [1e-6, 1e-5, 1e-4, 1e-3, 1e-2]),
        (" 3e-5 : 0.003 ", [3e-5, 3e-4, 3e-3]),
        ("1e-6:1e-2:9", [1e-6, 3.162e-6, 1e-5, 3.162e-5, 1e-4, 3.162e-4, 1e-3, 3.162e-3, 1e-2]),
        ("0.1:0.4:3", [0.1, 0.2, 0.4]),
        ("2e-3:7e-3:2", [2e-3, 7e-3]),
        ("1e-3,1e-4, 3e-4", [1e-4, 3e-4, 1e-3]),
        ("0,.5,1.", [0.0, 0.5, 1.0]),
        ("1e-4", [1e-4]),
    ],
)
def test_sweeps_read_as_written(text: str, rates: list[float]) -> None:
    assert parse_rates(text) == rates


@given(st.integers(1, 9999), st.integers(-12, 0), st.floats(1.5, 1e6), st.integers(2, 40))
def test_points_lie_geometrically_apart(digits: int, power: int, ratio: float, points: int) -> None:
    low = digits * 10.0**power
    rates = parse_rates(f"{low!r}:{low * ratio!r}:{points}")
    assert len(rates) == points
    assert (rates[0], rates[-1]) == (low, low * ratio)
    step = math.log(ratio) / (points - 1)
    for one, following in zip(rates, rates[1:]):
        assert math.log(following / one) == pytest.approx(step, abs=1.1e-3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rate"),
        ("1e-3,", "no rate"),
        ("nan", "no rate"),
        ("-1e-3", "no rate"),
        ("1_0", "no rate"),
        ("1e-9999", "no rate"),
        ("1e-400", "out of range"),
        ("1e-3,0.001", "comes twice"),
        ("1e-2:1e-6", "a higher one"),
        ("0:1e-2", "above 0"),
        ("1e-6:5e-3", "spans no whole decades"),
        ("1e-6:1e-2:1", "number of points"),
        ("1e-6:1e-2:five", "number of points"),
        ("1.00009:1.0001:5", "too close"),
        ("1:2:3:4", "no sweep"),
    ],
)
def test_what_is_no_sweep_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(FaultError, match=words) as caught:
        parse_rates(text)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="0123456789.e-:, +", max_size=20))
def test_any_text_gives_ascending_rates_or_one_error(text: str) -> None:
    try:
        rates = parse_rates(text)
    except FaultError:
        return
    assert rates
    assert all(math.isfinite(rate) and rate >= 0 for rate in rates)
    assert rates == sorted(set(rates))
