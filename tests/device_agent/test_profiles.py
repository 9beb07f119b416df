"""The profile of a typical inference."""

from __future__ import annotations

from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.runtimes import ProfileUnavailable
from device_agent.runtimes.profiles import Label, Run, typical

LABELS = [Label("conv", "a", "cpu"), Label("gemm", "b", "cpu")]


def test_interrupted_inferences_do_not_count() -> None:
    runs = [Run(10.0, LABELS, [6.0, 3.0])] * 6 + [Run(900.0, LABELS, [6.0, 893.0]), Run(2.0, LABELS, [1.0, 1.0])]
    profile = typical(runs, "a clock", 1e-6)
    assert (profile.whole_s, [operator.time_s for operator in profile.operators]) == (10.0, [6.0, 3.0])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_operators_never_exceed_the_whole_that_they_are_part_of(parts: List[List[float]]) -> None:
    runs = [Run(a + b + rest, LABELS, [a, b]) for a, b, rest in parts]
    profile = typical(runs, "a clock", 1e-6)
    assert sum(operator.time_s for operator in profile.operators) <= profile.whole_s + 1e-9
    assert min(run.whole_s for run in runs) - 1e-9 <= profile.whole_s <= max(run.whole_s for run in runs) + 1e-9


@pytest.mark.parametrize(
    "runs",
    [[], [Run(1.0, [], [])], [Run(1.0, LABELS, [0.1, 0.2]), Run(1.0, LABELS[:1], [0.1])]],
    ids=["no inference", "no operators", "other operators"],
)
def test_what_is_no_profile_says_so(runs: List[Run]) -> None:
    with pytest.raises(ProfileUnavailable, match="a clock"):
        typical(runs, "a clock", 1e-6)
