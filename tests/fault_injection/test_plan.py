"""Plans: what they assume, refuse and aim at."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fault_injection.errors import FaultError, InvalidFaultModelError, NoSuchTargetError, UnsupportedModelError
from fault_injection.models import MODELS, FaultModel, Place, parse
from fault_injection.plan import FaultPlan, Lifetime, Position, Scale
from fault_injection.space import Site
from tests.fault_injection.test_fault_models import ANY_MODEL, ONE_OF_EACH

SITES = [
    Site("block1/conv", "CONV_2D", (8, 3, 3, 3), 0),
    Site("block1/dw", "DEPTHWISE_CONV_2D", (1, 3, 3, 8), 3),
    Site("block2/conv", "CONV_2D", (8, 3, 3, 8), 0),
    Site("dense", "FULLY_CONNECTED", (10, 8), 0),
]
FLOATS = [
    Site("float", "CONV_2D", (8, 3, 3, 3), 0, bits=32),
    Site("float dense", "FULLY_CONNECTED", (4, 2), 0, bits=32),
]


@st.composite
def plans(draw: st.DrawFn) -> FaultPlan:
    model: FaultModel = draw(ANY_MODEL)
    places = [Position.WEIGHTS] if Place.WEIGHTS in model.places else []
    places += [Position.BEFORE_ACTIVATION, Position.AFTER_ACTIVATION] if Place.FEATURES in model.places else []
    bit, names = st.integers(0, model.dtype_bits - 1), st.text(max_size=8)
    masks = st.dictionaries(names, st.integers(0, (1 << model.dtype_bits) - 1), max_size=3)
    return FaultPlan(
        model,
        position=draw(st.none() | st.sampled_from(places)),
        scale=draw(st.sampled_from(Scale)),
        targets=tuple(draw(st.lists(names, max_size=3))),
        operations=tuple(draw(st.lists(names, max_size=2))),
        bits=draw(st.none() | st.tuples(bit, bit).map(lambda two: (min(two), max(two)))) if model.has_bits else None,
        lifetime=draw(st.none() | st.sampled_from(Lifetime)),
        duty=draw(st.floats(0, 1)),
        protected=draw(masks) if model.has_bits else {},
        seed=draw(st.integers(0, 2**64 - 1)),
    )


@settings(deadline=None)
@given(plans())
def test_a_plan_comes_back_from_json_as_it_was(plan: FaultPlan) -> None:
    assert FaultPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize("text", ONE_OF_EACH)
def test_a_plan_says_where_and_how_long_unless_told(text: str) -> None:
    plan = FaultPlan(parse(text))
    usual = Place.FEATURES if text.startswith("MiBB") else Place.WEIGHTS
    assert plan.place is usual
    assert plan.position is (Position.WEIGHTS if usual is Place.WEIGHTS else Position.AFTER_ACTIVATION)
    assert plan.lifetime is (Lifetime.PERMANENT if usual is Place.WEIGHTS else Lifetime.TRANSIENT)


def test_a_feature_plan_is_transient_unless_told() -> None:
    for position in (Position.BEFORE_ACTIVATION, Position.AFTER_ACTIVATION):
        plan = FaultPlan(parse("iBF(p=0.1)"), position=position)
        assert (plan.place, plan.lifetime) == (Place.FEATURES, Lifetime.TRANSIENT)
    assert FaultPlan(parse("iBF(p=0.1)"), Position.AFTER_ACTIVATION, lifetime=Lifetime.PERMANENT).lifetime is (
        Lifetime.PERMANENT
    )


@pytest.mark.parametrize("name", list(MODELS))
def test_models_strike_where_they_can_and_nowhere_else(name: str) -> None:
    model = parse(next(text for text in ONE_OF_EACH if text.startswith(f"{name}(")))
    only = {"MiBB": Place.FEATURES, "adSAF": Place.WEIGHTS, "drift": Place.WEIGHTS}.get(name)
    for position in Position:
        place = Place.WEIGHTS if position is Position.WEIGHTS else Place.FEATURES
        if only in (None, place):
            assert FaultPlan(model, position).place is place
        else:
            with pytest.raises(InvalidFaultModelError, match=f"^{name} does not strike {place.value}$"):
                FaultPlan(model, position)


@pytest.mark.parametrize(
    ("model", "keywords", "message"),
    [
        ("MiBB(p_m=0.1)", {"bits": (0, 3)}, "MiBB hits whole values, so that bits cannot be chosen"),
        ("adSAF(p=0.1)", {"bits": (0, 3)}, "adSAF hits whole values, so that bits cannot be chosen"),
        ("burst(p=0.1, length=2)", {"bits": (0, 7)}, "burst hits whole values"),
        ("iBF(p=0.1)", {"bits": (0, 8)}, "bits must lie in 0 to 7, not 0 to 8"),
        ("iBF(p=0.1)", {"bits": (-1, 7)}, "bits must lie in 0 to 7, not -1 to 7"),
        ("iBF(p=0.1)", {"bits": (5, 4)}, "bits must lie in 0 to 7, not 5 to 4"),
        ("iBF32(p=0.1)", {"bits": (0, 32)}, "bits must lie in 0 to 31, not 0 to 32"),
        ("iBF(p=0.1)", {"duty": 1.01}, "the duty of intermittent faults must lie in 0 to 1, not 1.01"),
        ("iBF(p=0.1)", {"duty": -0.1}, "the duty of intermittent faults must lie in 0 to 1, not -0.1"),
        ("iBF(p=0.1)", {"duty": math.nan}, "the duty of intermittent faults must lie in 0 to 1, not nan"),
        ("iBF(p=0.1)", {"seed": -1}, "a seed must lie in 0 to 2^64 - 1, not -1"),
        ("iBF(p=0.1)", {"seed": 2**64}, "a seed must lie in 0 to 2^64 - 1, not 18446744073709551616"),
        ("random(p=0.1)", {"protected": {"dense": 128}}, "random hits whole values, so that bits cannot be protected"),
        ("iBF(p=0.1)", {"protected": {"dense": 256}}, "protected bits of 'dense' must be a mask of 8 bits, not 256"),
        ("iBF(p=0.1)", {"protected": {"dense": -1}}, "protected bits of 'dense' must be a mask of 8 bits, not -1"),
        ("iBF32(p=0.1)", {"protected": {"x": 2**32}}, "protected bits of 'x' must be a mask of 32 bits"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(model: str, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidFaultModelError, match=re.escape(message)):
        FaultPlan(parse(model), **keywords)


def test_the_limits_themselves_are_allowed() -> None:
    FaultPlan(parse("iBF(p=1)"), bits=(0, 7), duty=0, seed=2**64 - 1, protected={"x": 255})
    FaultPlan(parse("iBF32(p=1)"), bits=(31, 31), duty=1, protected={"x": 2**32 - 1})


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "iBF(p=2)"},
        {"model": 5},
        {"position": "nowhere"},
        {"scale": None},
        {"targets": 3},
        {"bits": [1]},
        {"bits": ["a", "b"]},
        {"bits": [0, math.inf]},
        {"bits": 3},
        {"lifetime": "long"},
        {"duty": "half"},
        {"duty": 10**400},
        {"protected": ["dense"]},
        {"protected": {"dense": None}},
        {"seed": math.inf},
        {"seed": -5},
    ],
)
def test_what_is_no_plan_is_refused(changes: dict[str, Any]) -> None:
    document = FaultPlan(parse("iBF(p=0.1)")).to_dict()
    FaultPlan.from_dict(document)
    with pytest.raises(FaultError):
        FaultPlan.from_dict({**document, **changes})


@pytest.mark.parametrize("document", [{}, [], None, "iBF(p=0.1)"])
def test_what_is_no_document_is_refused(document: Any) -> None:
    with pytest.raises(FaultError, match="not a fault plan"):
        FaultPlan.from_dict(document)


@pytest.mark.parametrize("missing", list(FaultPlan(parse("SEU")).to_dict()))
def test_a_document_says_all(missing: str) -> None:
    document = FaultPlan(parse("SEU")).to_dict()
    del document[missing]
    with pytest.raises(FaultError, match=f"not a fault plan: '{missing}'"):
        FaultPlan.from_dict(document)


def selected(sites: list[Site], model: str = "iBF(p=0.1)", **keywords: Any) -> list[str]:
    return [site.name for site in FaultPlan(parse(model), **keywords).select(sites)]


def test_a_plan_aims_by_name_and_by_operation() -> None:
    every = [site.name for site in SITES]
    assert selected(SITES) == every
    assert selected(SITES, targets=("*conv",)) == ["block1/conv", "block2/conv"]
    assert selected(SITES, targets=("dense", "block?/*")) == every  # in the order of the model
    assert selected(SITES, targets=("block[2-9]/*",)) == ["block2/conv"]
    assert selected(SITES, operations=("CONV_2D", "FULLY_CONNECTED")) == ["block1/conv", "block2/conv", "dense"]
    assert selected(SITES, targets=("block1/*",), operations=("CONV_2D",)) == ["block1/conv"]
    assert selected(SITES, protected={"dense": 128}) == every


@pytest.mark.parametrize("pattern", ["Block1/*", "block1", "conv", ""])
def test_a_pattern_that_matches_nothing_is_an_error_that_says_what_there_is(pattern: str) -> None:
    names = "block1/conv, block1/dw, block2/conv, dense"
    with pytest.raises(
        NoSuchTargetError, match=f"^nothing to break matches {re.escape(repr(pattern))}; the model has: {names}$"
    ):
        selected(SITES, targets=("*", pattern))


def test_other_names_and_operations_that_match_nothing_are_errors_too() -> None:
    with pytest.raises(NoSuchTargetError, match="matches 'ADD'; the model has: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CON"):
        selected(SITES, operations=("CONV_2D", "ADD"))
    with pytest.raises(NoSuchTargetError, match="matches 'dens'; the model has: block1/conv"):
        selected(SITES, protected={"dens": 128})
    with pytest.raises(NoSuchTargetError, match="nothing is both called block1/dw and CONV_2D"):
        selected(SITES, targets=("block1/dw",), operations=("CONV_2D",))
    with pytest.raises(NoSuchTargetError, match="the model has nothing to break"):
        selected([])


def test_of_many_names_some_are_told() -> None:
    sites = [Site(f"t{i}", "CONV_2D", (1, 1, 1, 1), 0) for i in range(9)]
    with pytest.raises(NoSuchTargetError, match=r"the model has: t0, t1, t2, t3, t4 and 4 more$"):
        selected(sites, targets=("x",))


def test_a_model_breaks_values_of_its_width_only() -> None:
    assert selected([*SITES, *FLOATS], targets=("*",)) == [site.name for site in SITES]
    assert selected([*SITES, *FLOATS], "iBF32(p=0.1)") == ["float", "float dense"]
    with pytest.raises(NoSuchTargetError, match="matches 'float'"):
        selected([*SITES, *FLOATS], targets=("float",))
    with pytest.raises(
        UnsupportedModelError, match="iBF needs 8-bit values, those of 'float' have 32: export the model as int8"
    ):
        selected(FLOATS)
    with pytest.raises(
        UnsupportedModelError, match="iBF32 needs 32-bit values, those of 'block1/conv' have 8: write iBF"
    ):
        selected(SITES, "iBF32(p=0.1)")


def test_a_name_with_brackets_is_told_how_to_be_written() -> None:
    sites = [Site("conv[0]", "CONV_2D", (2, 1, 1, 2), 0)]
    with pytest.raises(NoSuchTargetError, match=r"a pattern that does not match itself: write \[\[\] for a bracket"):
        FaultPlan(parse("SEU"), targets=("conv[0]",)).select(sites)
    assert FaultPlan(parse("SEU"), targets=("conv[[]0]",)).select(sites) == sites


def test_a_bare_word_is_no_list_of_targets() -> None:
    document = {**FaultPlan(parse("SEU")).to_dict(), "targets": "conv"}
    with pytest.raises(FaultError, match="'conv' is no list"):
        FaultPlan.from_dict(document)
