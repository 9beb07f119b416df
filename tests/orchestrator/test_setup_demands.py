"""Set-ups as the orchestrator checks and places them."""

from __future__ import annotations

import json
import math

import pytest

from orchestrator.client.specs import job_spec, latency_spec, measurement_spec
from orchestrator.demands import Demand
from orchestrator.validation import InvalidSpecError, check_job
from protos.gauntlet.v1 import artifact_pb2, job_pb2
from protos.gauntlet.v1.setup_pb2 import Control, DeviceSetup
from tests.orchestrator.lab import device

MODEL = artifact_pb2.ArtifactRef(digest="a" * 64, size_bytes=1, media_type="model/tflite")


def job(timed: bool = True, **asked: object) -> job_pb2.JobSpec:
    latency = latency_spec() if timed else None
    setup = DeviceSetup(**asked)  # type: ignore[arg-type]
    return job_spec(measurement_spec(MODEL, latency=latency, energy=False, setup=setup))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"governor": "../../etc"}, "setup.governor"),
        ({"governor": "a b"}, "setup.governor"),
        ({"power_mode": "-m 0"}, "setup.power_mode"),
        ({"power_mode": "--help"}, "setup.power_mode"),
        ({"cores": "0;1"}, "setup.cores"),
        ({"cores": "1" * 65}, "setup.cores"),
        ({"min_frequency_hz": -1.0}, "min_frequency_hz"),
        ({"max_frequency_hz": math.nan}, "max_frequency_hz"),
        ({"min_frequency_hz": 2e9, "max_frequency_hz": 1e9}, "must not lie above"),
    ],
)
def test_what_makes_no_sense_is_named(asked: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidSpecError, match=words):
        check_job(job(**asked))


def test_a_set_up_needs_a_timed_window() -> None:
    check_job(job(governor="performance", cores="0-3,6", power_mode="MODE_15W"))
    with pytest.raises(InvalidSpecError, match="timed windows"):
        check_job(job(timed=False, governor="performance"))


def test_it_goes_to_devices_that_offer_it() -> None:
    demand = Demand.of(job(governor="performance", cores="4-7"))
    able = device(
        controls=[
            Control(name="governor", choices=["performance", "powersave"]),
            Control(name="cores", choices=["big", "little"]),
        ]
    )
    assert demand.misfit(able) is None
    assert Demand.parse(demand.signature) == demand
    assert Demand.of(job(governor="turbo")).misfit(able) == "has no governor turbo (it has performance, powersave)"
    assert Demand.of(job(power_mode="0")).misfit(able) == "cannot set power mode (its agent is too old)"
    unable = device(controls=[Control(name="governor", unavailable="/sys/x belongs to root")])
    assert Demand.of(job(governor="performance")).misfit(unable) == "cannot set governor: /sys/x belongs to root"
    alike = device(controls=[Control(name="cores", choices=["0-1"])])
    assert Demand.of(job(cores="big")).misfit(alike) == "has no cores big (it has 0-1)"
    assert Demand.of(job(cores="0")).misfit(alike) is None


def test_signatures_of_before_set_ups_are_still_read() -> None:
    fields = json.loads(Demand.of(job()).signature)
    del fields["controls"]
    assert Demand.parse(json.dumps(fields)) == Demand.of(job())
