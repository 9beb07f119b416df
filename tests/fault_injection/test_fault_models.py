"""The text form of fault models."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fault_injection.errors import InvalidFaultModelError
from fault_injection.models import MODELS, IndependentBitFlips, parse

probabilities = st.floats(0, 1)
flips = st.builds(IndependentBitFlips, p=probabilities, per=st.sampled_from(["bit", "value"]))


@given(flips)
def test_the_canonical_text_says_all(model: IndependentBitFlips) -> None:
    assert parse(str(model)) == model
    assert str(parse(str(model))) == str(model)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("iBF(p=1e-3)", "iBF(p=0.001, per=bit)"),
        ("  iBF ( per = value , p = .5 ) ", "iBF(p=0.5, per=value)"),
        ("iBF(p=1)", "iBF(p=1, per=bit)"),
        ("iBF(p=-0.0)", "iBF(p=0, per=bit)"),
        ("iBF(p=3E-6)", "iBF(p=3e-06, per=bit)"),
    ],
)
def test_spellings_of_one_model_have_one_text(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ibf(p=0.1)", "no fault model 'ibf'; there is: iBF; did you mean iBF?"),
        ("meteor(p=0.1)", "no fault model 'meteor'; there is: iBF"),
        ("iBF(prob=0.1)", "iBF has no 'prob'; it takes: p, per"),
        ("iBF(p=0.1, pre=bit)", "iBF has no 'pre'; it takes: p, per; did you mean per?"),
        ("iBF(p=1.5)", "iBF: p must lie in 0 to 1, not 1.5"),
        ("iBF(p=-1e-9)", "iBF: p must lie in 0 to 1, not -1e-09"),
        ("iBF(p=1e999)", "iBF: p must lie in 0 to 1, not inf"),
        ("iBF(p=often)", "iBF: p must be a number, not 'often'"),
        ("iBF(p=nan)", "iBF: p must be a number, not 'nan'"),
        ("iBF(p=1_0)", "iBF: p must be a number, not '1_0'"),
        ("iBF(p=0.1, per=bits)", "iBF: per must be one of bit, value, not 'bits'; did you mean bit?"),
        ("iBF", "iBF: p is missing; write it like iBF(p=0.001)"),
        ("iBF(per=bit)", "iBF: p is missing; write it like iBF(p=0.001)"),
        ("iBF(p=0.1, p=0.2)", "iBF: p is given twice"),
        ("iBF(0.1)", "iBF: '0.1' is not of the form key=value"),
        ("iBF(p=0.1,)", "iBF: '' is not of the form key=value"),
        ("iBF(p=0.1", "'iBF(p=0.1' is no fault model; write it like iBF(p=0.001)"),
        ("", "'' is no fault model; write it like iBF(p=0.001)"),
    ],
)
def test_a_wrong_text_is_refused_in_one_line_that_says_what_is_right(text: str, message: str) -> None:
    with pytest.raises(InvalidFaultModelError) as caught:
        parse(text)
    assert str(caught.value) == message


@given(st.text(max_size=40) | st.text("iBF(p=,er0.1e-)", max_size=30))
def test_any_text_is_a_model_or_a_clear_error(text: str) -> None:
    with contextlib.suppress(InvalidFaultModelError):
        assert isinstance(parse(text), tuple(MODELS.values()))


@pytest.mark.parametrize("p", [math.nan, 2, -1, "x", None])
def test_values_are_checked_without_a_text_too(p: object) -> None:
    with pytest.raises(InvalidFaultModelError, match="iBF: p must"):
        IndependentBitFlips(p=p)  # type: ignore[arg-type]


def test_models_are_values() -> None:
    assert IndependentBitFlips(1) == IndependentBitFlips(1.0)
    assert len({parse("iBF(p=0.1)"), parse("iBF(p=1e-1, per=bit)")}) == 1
