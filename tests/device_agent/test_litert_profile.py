"""Events of LiteRT's profiler, and what is believed of them."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pytest

from device_agent.measure.tensors import example_inputs
from device_agent.runtimes import ProfileUnavailable, discover, litert_profile
from device_agent.runtimes.litert_profile import Event, summary

WHOLE, KERNEL, INSIDE, OTHER = 1, 2, 8, 32


def run(whole: int = 100, convolution: int = 60) -> List[Event]:
    return [
        Event("LiteRT::Run[buffer registration]", WHOLE, 15),
        Event("Invoke", WHOLE, whole),
        Event("Convolution (NHWC, QC8) IGEMM", INSIDE, convolution),
        Event("SOFTMAX", KERNEL, 4),
        Event("Invoke", OTHER, 2**32),
    ]


def test_operators_keep_their_order_and_what_ran_them() -> None:
    profile = summary([run(100, 60), run(120, 70)], "xnnpack")
    assert profile.whole_s == pytest.approx(110e-6)
    assert [(o.kind, o.delegate, round(o.time_s * 1e6, 3)) for o in profile.operators] == [
        ("Convolution (NHWC, QC8) IGEMM", "xnnpack", 65.0),
        ("SOFTMAX", "none", 4.0),
    ]


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [run()[:2]],
        [run(), run()[:2]],
        [run(), [e for e in run() if e.tag != "Invoke"]],
        [run(convolution=2**40)],
    ],
    ids=["nothing", "no operators", "other operators", "no whole", "an impossible time"],
)
def test_events_that_make_no_sense_are_not_believed(runs: List[List[Event]]) -> None:
    with pytest.raises(ProfileUnavailable):
        summary(runs, "xnnpack")


def test_an_unknown_version_is_not_touched(tmp_path: Path) -> None:
    with pytest.raises(ProfileUnavailable, match=r"LiteRT 9\.1\.0 is not known \(known versions: 2\.3\)"):
        litert_profile.profile("no_such_module", "9.1.0", tmp_path, 1, "xnnpack", example_inputs, 1)
    with pytest.raises(ProfileUnavailable, match="does not load"):
        litert_profile.profile("no_such_module", "2.3.0", tmp_path, 1, "xnnpack", example_inputs, 1)


@pytest.mark.parametrize("name", ["pretrainedResnet_quant", "kws_ref_model", "tflm_hello_world_int8"])
@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
def test_real_models_with_and_without_the_delegate(models: Path, name: str, delegate: str) -> None:
    runtime = discover()[0]
    if runtime.name != "litert" or not runtime.version.startswith("2.3"):
        pytest.skip("only LiteRT 2.3 profiles")
    profile = runtime.profile(models / f"{name}.tflite", 1, delegate, example_inputs, 5)
    assert profile.whole_s > 0
    assert 0 <= sum(operator.time_s for operator in profile.operators) <= profile.whole_s * 1.02 + 1e-6
    assert ("none" in {operator.delegate for operator in profile.operators}) or delegate == "xnnpack"
