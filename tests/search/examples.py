"""Evaluations as a campaign makes them, for tests."""

from __future__ import annotations

from hypothesis import strategies as st

from search.evaluations import Evaluation, Failure, FaultAccuracy
from tests.search.test_values import finite, values

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
failures = st.builds(Failure, _texts, _texts, _texts, _texts)
points = st.builds(FaultAccuracy, _texts, _texts, st.floats(0, 1), values(), st.integers(0, 1000), _texts)


def evaluations(number: st.SearchStrategy[int], architecture: st.SearchStrategy[str]) -> st.SearchStrategy[Evaluation]:
    """Any evaluation of one of these candidates."""
    return st.builds(
        Evaluation,
        number,
        architecture,
        st.integers(0, 10**12),
        st.integers(0, 10**9),
        st.dictionaries(_texts, values(), max_size=3),
        st.lists(points, max_size=2).map(tuple),
        st.dictionaries(_texts, _texts, max_size=2),
        st.none() | failures,
        st.dictionaries(_texts, finite, max_size=2),
        st.dictionaries(_texts, _texts, max_size=2),
    )
