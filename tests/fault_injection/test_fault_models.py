"""The text form of fault models."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fault_injection.errors import InvalidFaultModelError
from fault_injection.models import (
    MODELS,
    BurstFlips,
    ChannelFault,
    ConductanceDrift,
    FaultModel,
    FloatBitFlips,
    GaussianNoise,
    IndependentBitFlips,
    MacBitBias,
    RandomValue,
    SingleUpset,
    StuckBits,
    StuckCells,
    parse,
    rate_name,
    with_rate,
)

probabilities = st.floats(0, 1)
units = st.sampled_from(["bit", "value"])
finite = st.floats(0, sys.float_info.max)
ANY_MODEL = st.one_of(
    st.builds(IndependentBitFlips, p=probabilities, per=units),
    st.builds(FloatBitFlips, p=probabilities, per=units),
    st.builds(SingleUpset),
    st.builds(MacBitBias, p_m=probabilities),
    st.builds(StuckCells, p=probabilities, variant=st.sampled_from(["all", "bit", "memory"]), sa1=probabilities),
    st.builds(StuckBits, p=probabilities, to=st.integers(0, 1)),
    st.builds(RandomValue, p=probabilities),
    st.builds(GaussianNoise, sigma=probabilities),
    st.builds(ConductanceDrift, t=st.floats(1, sys.float_info.max), nu=finite, sd=finite),
    st.builds(ChannelFault, p=probabilities, to=st.sampled_from(["zero", "max", "random"])),
    st.builds(BurstFlips, p=probabilities, length=st.integers(2, 64)),
)
ONE_OF_EACH = [
    "iBF(p=0.001, per=bit)",
    "iBF32(p=0.001, per=value)",
    "SEU()",
    "MiBB(p_m=0.0001)",
    "adSAF(p=0.08, variant=all, sa1=0.163)",
    "stuck(p=0.001, to=1)",
    "random(p=0.001)",
    "gauss(sigma=0.05)",
    "drift(t=86400, nu=0.05, sd=0.02)",
    "channel(p=0.01, to=zero)",
    "burst(p=1e-05, length=3)",
]
NAMES = "iBF, iBF32, SEU, MiBB, adSAF, stuck, random, gauss, drift, channel, burst"


@settings(deadline=None)
@given(ANY_MODEL)
def test_the_canonical_text_says_all(model: FaultModel) -> None:
    assert parse(str(model)) == model
    assert str(parse(str(model))) == str(model)


@pytest.mark.parametrize("text", ONE_OF_EACH)
def test_each_model_has_its_text(text: str) -> None:
    assert str(parse(text)) == text
    assert type(parse(text)) is MODELS[text.partition("(")[0]]


def test_there_is_an_example_of_each_model() -> None:
    assert [text.partition("(")[0] for text in ONE_OF_EACH] == list(MODELS)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("iBF(p=1e-3)", "iBF(p=0.001, per=bit)"),
        ("  iBF ( per = value , p = .5 ) ", "iBF(p=0.5, per=value)"),
        ("iBF(p=1)", "iBF(p=1, per=bit)"),
        ("iBF(p=-0.0)", "iBF(p=0, per=bit)"),
        ("iBF(p=3E-6)", "iBF(p=3e-06, per=bit)"),
        ("SEU", "SEU()"),
        ("adSAF(p=8e-2)", "adSAF(p=0.08, variant=all, sa1=0.163)"),
        ("stuck(p=1e-3, to=0.0)", "stuck(p=0.001, to=0)"),
        ("drift(t=1e3)", "drift(t=1000, nu=0.05, sd=0.02)"),
        ("burst(length=2e0, p=0)", "burst(p=0, length=2)"),
        ("channel(p=1)", "channel(p=1, to=zero)"),
    ],
)
def test_spellings_of_one_model_have_one_text(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ibf(p=0.1)", f"no fault model 'ibf'; there is: {NAMES}; did you mean iBF?"),
        ("adsaf", f"no fault model 'adsaf'; there is: {NAMES}; did you mean adSAF?"),
        ("meteor(p=0.1)", f"no fault model 'meteor'; there is: {NAMES}"),
        ("iBF(prob=0.1)", "iBF has no 'prob'; it takes: p, per"),
        ("iBF(p=0.1, pre=bit)", "iBF has no 'pre'; it takes: p, per; did you mean per?"),
        ("MiBB(p=0.1)", "MiBB has no 'p'; it takes: p_m"),
        ("SEU(p=1)", "SEU has no 'p'; it takes: nothing"),
        ("iBF(p=1.5)", "iBF: p must lie in 0 to 1, not 1.5"),
        ("iBF(p=-1e-9)", "iBF: p must lie in 0 to 1, not -1e-09"),
        ("iBF(p=1e999)", "iBF: p must lie in 0 to 1, not inf"),
        ("MiBB(p_m=2)", "MiBB: p_m must lie in 0 to 1, not 2"),
        ("adSAF(p=0.1, sa1=1.1)", "adSAF: sa1 must lie in 0 to 1, not 1.1"),
        ("gauss(sigma=127)", "gauss: sigma must lie in 0 to 1, not 127"),
        ("drift(t=0.5)", "drift: t must be a finite number of 1 or more, not 0.5"),
        ("drift(t=1e999)", "drift: t must be a finite number of 1 or more, not inf"),
        ("drift(t=2, nu=-1)", "drift: nu must be a finite number of 0 or more, not -1"),
        ("iBF(p=often)", "iBF: p must be a number, not 'often'"),
        ("iBF(p=nan)", "iBF: p must be a number, not 'nan'"),
        ("iBF(p=1_0)", "iBF: p must be a number, not '1_0'"),
        ("stuck(p=0.1, to=2)", "stuck: to must be a whole number in 0 to 1, not 2"),
        ("stuck(p=0.1, to=0.5)", "stuck: to must be a whole number in 0 to 1, not 0.5"),
        ("stuck(p=0.1, to=one)", "stuck: to must be a number, not 'one'"),
        ("burst(p=0.1, length=1)", "burst: length must be a whole number in 2 to 64, not 1"),
        ("burst(p=0.1, length=65)", "burst: length must be a whole number in 2 to 64, not 65"),
        ("iBF(p=0.1, per=bits)", "iBF: per must be one of bit, value, not 'bits'; did you mean bit?"),
        (
            "adSAF(p=0.1, variant=bits)",
            "adSAF: variant must be one of all, bit, memory, not 'bits'; did you mean bit?",
        ),
        ("channel(p=0.1, to=1)", "channel: to must be one of zero, max, random, not '1'"),
        ("iBF", "iBF: p is missing; write it like iBF(p=…)"),
        ("iBF(per=bit)", "iBF: p is missing; write it like iBF(p=…)"),
        ("stuck(p=0.1)", "stuck: to is missing; write it like stuck(to=…)"),
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


@settings(deadline=None)
@given(st.text(max_size=40) | st.text("iBFSEUstuckp=,()ero0.1e-", max_size=30))
def test_any_text_is_a_model_or_a_clear_error(text: str) -> None:
    with contextlib.suppress(InvalidFaultModelError):
        assert isinstance(parse(text), tuple(MODELS.values()))


@pytest.mark.parametrize("p", [math.nan, math.inf, 2, -1, 10**400, "x", None, [0.1], 1j])
def test_values_are_checked_without_a_text_too(p: object) -> None:
    with pytest.raises(InvalidFaultModelError, match="iBF: p must") as caught:
        IndependentBitFlips(p=p)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("length", [1, 2.5, math.nan, "x", 10**400])
def test_counts_are_checked_without_a_text_too(length: object) -> None:
    with pytest.raises(InvalidFaultModelError, match="burst: length must be a"):
        BurstFlips(0.1, length)  # type: ignore[arg-type]


def test_models_are_values() -> None:
    assert IndependentBitFlips(1) == IndependentBitFlips(1.0)
    assert len({parse("iBF(p=0.1)"), parse("iBF(p=1e-1, per=bit)")}) == 1
    assert IndependentBitFlips(0.1) != FloatBitFlips(0.1)


@pytest.mark.parametrize("text", ONE_OF_EACH)
def test_a_sweep_changes_the_rate_and_nothing_else(text: str) -> None:
    model = parse(text)
    if isinstance(model, SingleUpset):
        with pytest.raises(InvalidFaultModelError, match=re.escape("SEU has no rate that could be swept")):
            with_rate(model, 0.5)
        return
    name = rate_name(model)
    assert name == rate_name(type(model)) == dataclasses.fields(model)[0].name
    swept = with_rate(model, 1)
    assert dataclasses.replace(swept, **{name: getattr(model, name)}) == model
    assert getattr(swept, name) == 1
    with pytest.raises(InvalidFaultModelError, match=f"{model.name}: {name} must"):
        with_rate(model, -0.1)
