"""The protocol of latency on a made-up clock: nothing here takes time."""

from __future__ import annotations

from typing import Callable, Iterator, List

import numpy as np
import pytest

from device_agent.measure import latency
from protos import figures
from protos.gauntlet.v1 import measurement_pb2 as pb


class Model:
    """Takes as long as its durations say, on a clock of its own."""

    def __init__(self, durations_ns: Iterator[float]) -> None:
        self.now = 0
        self.calls = 0
        self._durations = durations_ns

    def clock(self) -> int:
        return self.now

    def invoke(self) -> None:
        self.calls += 1
        self.now += int(next(self._durations))


def always(ns: float) -> Iterator[float]:
    while True:
        yield ns


def noisy(ns: float, share: float) -> Iterator[float]:
    random = np.random.default_rng(7)
    while True:
        yield ns * (1 + share * random.standard_normal())


def spec(**changes: float) -> pb.LatencySpec:
    asked = pb.LatencySpec(
        warmup_min_runs=10,
        warmup_min_s=0.5,
        warmup_max_s=10,
        warmup_tolerance=0.02,
        min_samples=30,
        max_samples=10_000,
        min_s=1,
        max_s=30,
        half_width=0.01,
        confidence=0.95,
        min_sample_s=1e-4,
    )
    for name, value in changes.items():
        setattr(asked, name, value)
    return asked


def test_a_steady_model_warms_up_for_the_least_time_and_stops_at_the_first_look() -> None:
    model = Model(always(1e6))
    warm = latency.warm_up(model.invoke, spec(), model.clock)
    assert warm.settled
    assert 0.5 <= warm.seconds < 0.7
    assert warm.call_s == pytest.approx(1e-3)
    timing = latency.steady_state(model.invoke, spec(), warm.call_s, model.clock)
    assert timing.stop == pb.STOP_REASON_PRECISE
    assert 1000 <= len(timing.samples) <= 1010
    assert timing.calls_per_sample == 1


def test_warm_up_lasts_until_a_model_has_settled() -> None:
    def cooling() -> Iterator[float]:
        for n in range(100_000):
            yield 1e6 * (1 + 3 * 0.999**n)

    model = Model(cooling())
    warm = latency.warm_up(model.invoke, spec(), model.clock)
    assert warm.settled
    assert warm.seconds > 2
    assert warm.call_s < 1.2e-3


def test_warm_up_ends_at_its_cap_unsettled() -> None:
    def growing() -> Iterator[float]:
        ns = 1e5
        while True:
            ns *= 1.01
            yield ns

    model = Model(growing())
    warm = latency.warm_up(model.invoke, spec(warmup_max_s=2), model.clock)
    assert not warm.settled
    assert warm.seconds >= 2


def test_a_noisy_model_is_sampled_until_its_median_is_known() -> None:
    model = Model(noisy(5e7, 0.1))
    timing = latency.steady_state(model.invoke, spec(max_s=1e4), 0.05, model.clock)
    assert timing.stop == pb.STOP_REASON_PRECISE
    assert len(timing.samples) > 100
    assert np.median(timing.samples) == pytest.approx(0.05, rel=0.02)


def test_it_says_when_the_interval_stops_shrinking() -> None:
    def two_speeds() -> Iterator[float]:
        # The more it runs, the slower it gets: no number of samples settles its median.
        ns = 1e7
        while True:
            ns *= 1.004
            yield ns

    model = Model(two_speeds())
    timing = latency.steady_state(model.invoke, spec(max_s=1e9), 0.01, model.clock)
    assert timing.stop == pb.STOP_REASON_PLATEAU


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_samples": 50, "half_width": 1e-9}, pb.STOP_REASON_MAX_SAMPLES),
        ({"max_s": 1.5, "half_width": 1e-9}, pb.STOP_REASON_MAX_TIME),
    ],
)
def test_it_stops_at_the_caps(changes: dict[str, float], reason: pb.StopReason) -> None:
    model = Model(noisy(3e7, 0.2))
    timing = latency.steady_state(model.invoke, spec(**changes), 0.03, model.clock)
    assert timing.stop == reason
    assert len(timing.samples) <= 60


def test_a_model_slower_than_the_cap_gives_one_sample() -> None:
    model = Model(always(60e9))
    asked = spec()
    warm = latency.warm_up(model.invoke, asked, model.clock)
    timing = latency.steady_state(model.invoke, asked, warm.call_s, model.clock)
    assert timing.stop == pb.STOP_REASON_MAX_TIME
    assert list(timing.samples) == [60.0]


def test_fast_models_are_timed_several_calls_at_a_time() -> None:
    model = Model(always(1500))
    warm = latency.warm_up(model.invoke, spec(), model.clock)
    timing = latency.steady_state(model.invoke, spec(), warm.call_s, model.clock)
    assert timing.calls_per_sample == 67
    assert timing.samples[0] == pytest.approx(1.5e-6)


@pytest.mark.parametrize(("call_s", "least_s", "calls"), [(1e-3, 1e-4, 1), (0, 1e-4, 100_000), (1e-6, 0, 1)])
def test_calls_per_sample(call_s: float, least_s: float, calls: int) -> None:
    assert latency.calls_per_sample(call_s, least_s) == calls


def summary(samples: int, calls: int = 1, make: Callable[[int], np.ndarray] = np.ones) -> pb.LatencyResult:
    timing = latency.Timing(make(samples), calls, pb.STOP_REASON_PRECISE)
    return latency.summarise(timing, latency.WarmUp(10, 0.5, True, 1.0), 0.95)


def test_percentiles_need_enough_samples() -> None:
    p90, p95, p99 = summary(200).percentiles
    assert figures.value_of(p90.latency_s) == 1
    assert figures.value_of(p95.latency_s) == 1
    assert figures.value_of(p99.latency_s) is None
    assert p99.latency_s.unavailable == "insufficient: 200 samples, 662 needed"


def test_percentiles_of_batched_samples_are_not_claimed() -> None:
    assert all("mean of 9 calls" in p.latency_s.unavailable for p in summary(5000, calls=9).percentiles)


def test_no_sample_is_dropped() -> None:
    def with_outlier(n: int) -> np.ndarray:
        samples = np.ones(n)
        samples[3] = 1000
        return samples

    result = summary(100, make=with_outlier)
    assert figures.value_of(result.max_s) == 1000
    assert result.histogram.overflow == 1


@pytest.mark.parametrize(
    ("call_ns", "longest_s"),
    # Short calls: only at looks. Long ones: at least each half second. Very long ones: between any two.
    [(1e6, 2.5), (20e6, 0.55), (2e9, 2.2)],
    ids=["fast", "slow", "very slow"],
)
def test_rests_lie_where_no_call_notices(call_ns: float, longest_s: float) -> None:
    model, plain = Model(noisy(call_ns, 0.02)), Model(noisy(call_ns, 0.02))
    rests: List[int] = []
    asked = spec(half_width=1e-9, max_s=10 if call_ns < 1e9 else 70)
    timing = latency.steady_state(model.invoke, asked, call_ns / 1e9, model.clock, lambda: rests.append(model.now))
    # Resting changes neither what is sampled nor when it ends.
    without = latency.steady_state(plain.invoke, asked, call_ns / 1e9, plain.clock)
    assert np.array_equal(timing.samples, without.samples)
    assert max(np.diff([0, *rests, model.now])) <= longest_s * 1e9
    if call_ns < 1e7:
        assert len(rests) < 15
