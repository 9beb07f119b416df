"""Energy of an inference on made-up meters: figures, intervals, what makes them wider, what makes them absent."""

from __future__ import annotations

import random
from typing import Callable, Iterator, List, Optional, Tuple

import pytest

from device_agent.measure.energy import measure_energy
from device_agent.measure.meters import Facts, Look, MeterError, NoMeter, Reading
from protos import figures
from protos.gauntlet.v1 import figure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.boards import Clock


class Machine:
    """Draws `idle_w` when it sleeps and what `power` says when it infers; a meter of itself."""

    unavailable = ""

    def __init__(
        self,
        power: Optional[Iterator[float]] = None,
        call_s: float = 0.01,
        idle_w: Callable[[float], float] = lambda now_s: 4.0,
        facts: Optional[Facts] = None,
        dies_at_s: float = 1e9,
    ) -> None:
        self.facts = facts or Facts("made-up", "board", ("VDD_IN",), ("VDD_CPU",), remark="everything")
        self.clock = Clock()
        self.runs = 0
        self.windows: List[float] = []
        self._power, self._call_s, self._idle_w, self._dies_at_s = power, call_s, idle_w, dies_at_s
        self._joules = self._mark_j = self._mark_s = 0.0
        self._began = self.clock.now
        self.open = False

    def invoke(self) -> None:
        self.runs += 1
        self._spend(self._call_s, next(self._power) if self._power else 10.0)

    def sleep(self, seconds: float) -> None:
        self._spend(seconds, self._idle_w(self.clock.now - self._began))

    def start(self) -> None:
        self._mark_j, self._mark_s, self.open = self._joules, self.clock.now, True

    def look(self) -> Look:
        if self.clock.now - self._began > self._dies_at_s:
            raise MeterError("made-up cannot be read any more: gone")
        return Look(self._joules - self._mark_j, self.clock.now - self._mark_s)

    def stop(self) -> Reading:
        self.open = False
        look = self.look()
        self.windows.append(look.seconds)
        off_j = 2 * self.facts.step_j
        return Reading(look.energy_j, look.seconds, off_j, {"VDD_IN": look.energy_j, "VDD_CPU": look.energy_j / 2}, 1)

    def power_w(self) -> Optional[float]:
        return None

    def measure(self, window_s: float = 5.0, confidence: float = 0.95) -> pb.EnergyResult:
        return measure_energy(self.invoke, pb.EnergySpec(window_s=window_s), self, confidence, self.clock, self.sleep)

    def _spend(self, seconds: float, power_w: float) -> None:
        self.clock.now += seconds
        self._joules += power_w * seconds


def value(figure: figure_pb2.Figure) -> float:
    found = figures.value_of(figure)
    assert found is not None, figure.unavailable
    return found


def interval(figure: figure_pb2.Figure) -> Tuple[float, float]:
    return figure.estimate.interval.low, figure.estimate.interval.high


def noisy(mean_w: float, seed: int) -> Iterator[float]:
    source = random.Random(seed)  # not a secret
    while True:
        yield source.gauss(mean_w, 0.3 * mean_w)


def test_energy_of_an_inference_is_told_gross_and_net_of_idle() -> None:
    machine = Machine()
    result = machine.measure()
    assert value(result.energy_j) == pytest.approx(0.1)
    assert value(result.net_energy_j) == pytest.approx(0.06)
    assert value(result.power_w) == pytest.approx(10)
    assert value(result.idle_power_w) == pytest.approx(4)
    assert (result.idle_before_w, result.idle_after_w) == pytest.approx((4, 4))
    assert result.source == "made-up"
    assert result.coverage == "everything"
    assert result.window_s == pytest.approx(5, abs=0.02)
    assert result.runs == result.energy_j.estimate.samples == pytest.approx(500, abs=1)
    assert [(r.name, r.counted) for r in result.rails] == [("VDD_IN", True), ("VDD_CPU", False)]
    assert [r.energy_j for r in result.rails] == pytest.approx([0.1, 0.05])
    assert (result.wraps, result.batches) == (1, 20)
    assert result.energy_j.origin == figure_pb2.ORIGIN_MEASURED


def test_idle_is_measured_before_and_after_and_the_model_runs_in_before_its_window() -> None:
    machine = Machine()
    result = machine.measure()
    assert machine.windows == pytest.approx([1, 5, 1], abs=0.02)
    assert machine.runs > result.runs


def test_intervals_cover_as_often_as_they_say() -> None:
    covered = {"energy_j": 0, "net_energy_j": 0, "power_w": 0}
    for seed in range(200):
        result = Machine(noisy(10.0, seed)).measure(confidence=0.9)
        for name, truth in (("energy_j", 0.1), ("net_energy_j", 0.06), ("power_w", 10.0)):
            low, high = interval(getattr(result, name))
            covered[name] += low <= truth <= high
    for count in covered.values():
        # 90 % of 200 and three standard deviations.
        assert 180 - 13 <= count <= 180 + 13


def test_the_counters_resolution_widens_every_interval() -> None:
    coarse = Facts("coarse", "board", ("VDD_IN",), step_j=2.5)
    fine, rough = Machine().measure(), Machine(facts=coarse).measure()
    assert fine.resolution_j == 0
    assert rough.resolution_j == pytest.approx(5 / 500, rel=0.01)
    low, high = interval(rough.energy_j)
    # A uniform distribution's standard deviation times Student's t with 19 degrees of freedom.
    assert (high - low) / 2 == pytest.approx(2.093 * rough.resolution_j / 3**0.5, rel=0.01)
    for name in ("net_energy_j", "power_w", "idle_power_w"):
        low, high = interval(getattr(rough, name))
        assert high - low > 1e-3


def test_an_idle_power_that_drifts_makes_the_net_energy_less_certain() -> None:
    steady = Machine().measure()
    drifting = Machine(idle_w=lambda now_s: 4.0 if now_s < 2 else 5.0).measure()
    assert (drifting.idle_before_w, drifting.idle_after_w) == pytest.approx((4, 5))
    assert value(drifting.net_energy_j) == pytest.approx(0.1 - 0.045, rel=0.01)
    low, high = interval(drifting.net_energy_j)
    assert low < 0.05
    assert high > 0.06
    assert interval(drifting.energy_j) == pytest.approx(interval(steady.energy_j))


def test_a_slow_sensor_gets_a_long_window() -> None:
    slow = Machine(facts=Facts("gauge", "board", ("VDD_IN",), update_s=1.0))
    result = slow.measure()
    assert slow.windows == pytest.approx([10, 20, 10], abs=0.02)
    assert result.batches == 10


def test_few_slow_inferences_have_no_interval() -> None:
    result = Machine(call_s=2.0).measure()
    assert (result.runs, result.batches) == (3, 3)
    assert value(result.energy_j) == pytest.approx(20)
    assert not result.energy_j.estimate.HasField("interval")


def test_an_inference_longer_than_the_window_is_one() -> None:
    result = Machine(call_s=9.0).measure()
    assert (result.runs, value(result.energy_j)) == (1, pytest.approx(90))


@pytest.mark.parametrize("dies_at_s", [0.5, 3.0, 6.5], ids=["idle before", "window", "idle after"])
def test_a_sensor_that_vanishes_leaves_a_reason_and_no_figure(dies_at_s: float) -> None:
    machine = Machine(dies_at_s=dies_at_s)
    result = machine.measure()
    for figure in (result.energy_j, result.net_energy_j, result.power_w, result.idle_power_w):
        assert figure.unavailable == "made-up cannot be read any more: gone"
    assert not machine.open


def test_energy_is_unavailable_and_never_zero_without_a_sensor() -> None:
    calls: List[int] = []
    result = measure_energy(lambda: calls.append(1), pb.EnergySpec(window_s=5), NoMeter("no RAPL"))
    assert result.energy_j.unavailable == "no RAPL"
    assert figures.value_of(result.energy_j) is None
    assert not calls


def test_rests_lie_between_batches_of_load_and_of_idling() -> None:
    machine = Machine()
    rests: List[Tuple[bool, int]] = []

    def rest(busy: bool) -> None:
        rests.append((busy, machine.runs))

    measure_energy(machine.invoke, pb.EnergySpec(window_s=5), machine, 0.95, machine.clock, machine.sleep, rest)
    # Ten looks before, nineteen between twenty batches, ten looks after.
    assert [busy for busy, _ in rests] == [False] * 10 + [True] * 19 + [False] * 10
    assert len({runs for _, runs in rests}) == 21


def test_a_model_that_fails_ends_the_window() -> None:
    machine = Machine()

    def fail() -> None:
        if machine.runs > 100:
            raise RuntimeError("the model broke")
        machine.invoke()

    with pytest.raises(RuntimeError, match="the model broke"):
        measure_energy(fail, pb.EnergySpec(window_s=5), machine, 0.95, machine.clock, machine.sleep)
    assert not machine.open


def test_figures_of_a_vendors_model_are_estimates() -> None:
    facts = Facts("model", "board", ("VDD_IN",), origin=figure_pb2.ORIGIN_ESTIMATED)
    assert Machine(facts=facts).measure().net_energy_j.origin == figure_pb2.ORIGIN_ESTIMATED
