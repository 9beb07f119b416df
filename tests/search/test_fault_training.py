"""Which faults strike when, and settings that cannot be meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fault_injection.errors import InvalidFaultModelError
from fault_injection.models import parse
from fault_injection.plan import FaultPlan, Position, Scale
from search.fault_training import FaultTraining


def rates(faults, steps, per_epoch):
    found = [faults.at(step, per_epoch, 5) for step in range(steps)]
    return [None if plan is None else plan.model.p for plan in found]


def test_a_constant_rate_strikes_in_every_step():
    assert rates(FaultTraining("iBF(p=0.01)"), 6, 3) == [0.01] * 6


def test_after_clean_epochs_the_rate_rises_evenly_and_stays():
    found = rates(FaultTraining("iBF(p=0.08)", clean_epochs=1, ramp_epochs=2), 8, 2)
    assert found[:2] == [None, None]
    assert found[2:] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.08, 0.08])


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 7))
def test_a_rate_never_falls_and_ends_as_it_is_written(clean, ramp, per_epoch):
    faults, epochs = FaultTraining("adSAF(p=0.08)", clean_epochs=clean, ramp_epochs=ramp), max(clean + ramp, clean + 1)
    faults.check(epochs)
    found = rates(faults, epochs * per_epoch, per_epoch)
    assert found[: clean * per_epoch] == [None] * (clean * per_epoch)
    risen = found[clean * per_epoch :]
    assert risen == sorted(risen)
    assert risen[0] > 0
    assert risen[-1] == 0.08
    assert faults.at(epochs * per_epoch - 1, per_epoch, 5) == FaultPlan(parse(faults.model), seed=5)


def test_two_spellings_are_the_same_training():
    assert FaultTraining("iBF(p=1e-3)") == FaultTraining("iBF( p = 0.001, per=bit )")


def test_position_and_scale_are_those_of_the_plan():
    assert FaultTraining("MiBB(p_m=1e-4)").position == "after"
    assert FaultTraining("iBF(p=1e-3)").position == "weights"
    plan = FaultTraining("MiBB(p_m=1e-4)", position="before", scale="power-of-two").at(0, 1, 0)
    assert (plan.position, plan.scale) == (Position.BEFORE_ACTIVATION, Scale.POWER_OF_TWO)
    assert FaultTraining("iBF(p=1e-3)", position="weights") == FaultTraining("iBF(p=1e-3)")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"model": "gremlins"}, "gremlins"),
        ({"model": "adSAF(p=1.2)"}, "adSAF: p must lie in 0 to 1, not 1.2"),
        ({"alpha": 1.5}, "alpha must be 0 to 1: 1.5"),
        ({"alpha": float("nan")}, "alpha must be 0 to 1: nan"),
        ({"clean_epochs": -1}, "clean_epochs must be 0 or more: -1"),
        ({"position": "inside"}, "position must be one of weights, before, after: inside"),
        ({"position": "before"}, "adSAF does not strike features"),
        ({"model": "MiBB(p_m=1e-4)", "position": "weights"}, "MiBB does not strike weights"),
        ({"scale": "linear"}, "scale must be one of deployed, power-of-two: linear"),
        ({"ramp_epochs": -1}, "ramp_epochs must be 0 or more: -1"),
        ({"model": "drift(t=100)", "ramp_epochs": 2}, "drift has no rate that rises from 0: leave ramp_epochs out"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(wrong, says):
    with pytest.raises(ValueError, match=says) as info:
        FaultTraining(**{"model": "adSAF(p=0.08)", **wrong})
    assert "\n" not in str(info.value)


def test_an_unknown_model_is_named_with_those_that_there_are():
    with pytest.raises(InvalidFaultModelError, match="adSAF"):
        FaultTraining("adSAFF(p=0.1)")


@pytest.mark.parametrize(("clean", "ramp"), [(4, 0), (2, 3), (0, 5)])
def test_a_schedule_that_never_ends_is_refused(clean, ramp):
    with pytest.raises(ValueError, match="do not fit into 4 epochs: lower them, or train longer"):
        FaultTraining("adSAF(p=0.08)", clean_epochs=clean, ramp_epochs=ramp).check(4)
