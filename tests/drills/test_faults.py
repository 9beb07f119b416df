"""All faults, with short leases: nothing is lost, nothing is counted twice, and the device is back without a person."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.drills import faults
from tests.drills.processes import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

#: Promised for the default leases of 10 s; with the shorter ones here it leaves a busy machine room, no more.
DETECTED_S, RECOVERED_S = 15.0, 30.0


@pytest.fixture
def lab(tmp_path: Path, fault: Callable[[Lab, bytes], faults.Course]) -> Iterator[Lab]:
    # gRPC's own pause before it connects again grows to two seconds, however short a lease is.
    timing = (0.5, 5.0) if fault is faults.link_flaps else (0.3, 2.0)
    with contextlib.closing(Lab(tmp_path, *timing)) as lab:
        yield lab


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.__name__)
def test_it_is_noticed_and_made_good(
    lab: Lab, small_model: bytes, fault: Callable[[Lab, bytes], faults.Course]
) -> None:
    course = fault(lab, small_model)
    lab.audit()
    assert (course.detected_s or 0.0) <= DETECTED_S
    assert course.recovered_s <= RECOVERED_S
