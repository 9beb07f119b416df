"""Energy of an inference, by the protocol below and any meter.

    idle │ ramp │ batch │ batch │ … back to back … │ batch │ settle │ idle
    ├────┤      ├───────┴───────┴──────────────────┴───────┤        ├────┤
    metered      metered, a look between two inferences at           metered
    look … look  the end of each batch

Batches are what the intervals come from: the energy of an inference is a ratio of sums, Σ joules / Σ inferences, and
the batches' residuals tell how much it varies (see `ratio`). What the meter cannot resolve, and the drift of the idle
power from before to after, do not average out; they are added as uniform distributions of that half-width.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Callable, List

from device_agent.measure.meters import Look, Meter, MeterError, Reading
from device_agent.measure.ratio import Ratio, ratio_of_sums
from protos import figures
from protos.gauntlet.v1 import figure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

#: Sensors that update slowly need long windows: at least so many updates each.
_LEAST_UPDATES = 20
_LEAST_IDLE_UPDATES = 10
_IDLE_S = 1.0
#: Clocks and voltages follow the load within this.
_RAMP_S = 0.2
_SETTLE_S = 0.1
_BATCHES = 20
_IDLE_LOOKS = 10
_METHOD = "batch means and the meter's resolution"

Clock = Callable[[], float]
Sleep = Callable[[float], None]


@dataclass(frozen=True)
class _Window:
    """A metered window, cut into batches.

    Attributes:
        reading: of the whole.
        runs: inferences in each batch.
        energy_j: likewise.
        seconds: likewise.
    """

    reading: Reading
    runs: List[int]
    energy_j: List[float]
    seconds: List[float]


@dataclass(frozen=True)
class Plan:
    """How long each part takes, in seconds.

    Attributes:
        idle_s: before, and again after.
        ramp_s: inferences that are not metered yet.
        window_s: the metered ones.
        batch_s: of the window.
        settle_s: between the window and the idle part after it.
    """

    idle_s: float
    ramp_s: float
    window_s: float
    batch_s: float
    settle_s: float

    @classmethod
    def of(cls, spec: pb.EnergySpec, meter: Meter) -> Plan:
        """As long as asked, and long enough for a meter that updates slowly."""
        update_s = meter.facts.update_s
        window_s = max(spec.window_s, _LEAST_UPDATES * update_s)
        return cls(
            idle_s=max(_IDLE_S, _LEAST_IDLE_UPDATES * update_s),
            ramp_s=_RAMP_S,
            window_s=window_s,
            batch_s=max(window_s / _BATCHES, 2 * update_s),
            settle_s=max(_SETTLE_S, update_s),
        )


def measure_energy(
    invoke: Callable[[], None],
    spec: pb.EnergySpec,
    meter: Meter,
    confidence: float = 0.95,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
    rest: Callable[[bool], None] = lambda busy: None,
) -> pb.EnergyResult:
    """Idle baseline, a window of back-to-back inferences, and the baseline again.

    Args:
        invoke: one inference of a warmed-up model.
        spec: what was asked.
        meter: where the joules come from; one that cannot be read gives the reason instead.
        confidence: of the intervals, 0-1, exclusive.
        clock: seconds, monotonic.
        sleep: waits without load.
        rest: called between batches, idle ones too: what it costs is in the baseline as well; told which they are.
    """
    if meter.unavailable:
        return unavailable(meter.unavailable)
    plan = Plan.of(spec, meter)
    try:
        before = _idle(meter, plan.idle_s, sleep, rest)
        _ramp(invoke, clock)
        busy = _busy(invoke, meter, plan.window_s, plan.batch_s, clock, rest)
        sleep(plan.settle_s)
        after = _idle(meter, plan.idle_s, sleep, rest)
    except MeterError as error:
        return unavailable(str(error))
    return _summary(before, busy, after, meter, confidence)


def unavailable(reason: str) -> pb.EnergyResult:
    """The result of a device that cannot tell, and why."""
    absent = figures.unavailable(reason)
    return pb.EnergyResult(energy_j=absent, net_energy_j=absent, power_w=absent, idle_power_w=absent)


def _idle(meter: Meter, seconds: float, sleep: Sleep, rest: Callable[[bool], None]) -> _Window:
    def work(look: Callable[[int], None]) -> None:
        for _ in range(_IDLE_LOOKS):
            sleep(seconds / _IDLE_LOOKS)
            look(0)
            rest(False)

    return _metered(meter, work)


def _ramp(invoke: Callable[[], None], clock: Clock) -> None:
    end = clock() + _RAMP_S
    while clock() < end:
        invoke()


def _busy(
    invoke: Callable[[], None],
    meter: Meter,
    window_s: float,
    batch_s: float,
    clock: Clock,
    rest: Callable[[bool], None],
) -> _Window:
    def work(look: Callable[[int], None]) -> None:
        now = clock()
        end, next_look = now + window_s, now + batch_s
        runs = 0
        while now < end or not runs:
            invoke()
            runs += 1
            now = clock()
            if now >= next_look and now < end:
                look(runs)
                rest(True)
                runs, next_look = 0, now + batch_s
                # At least one inference closes the window, so that no batch is empty.
        look(runs)

    return _metered(meter, work)


def _metered(meter: Meter, work: Callable[[Callable[[int], None]], None]) -> _Window:
    """A window over `work`, which calls for a look at the end of each batch with the inferences in it."""
    looks = [Look(0.0, 0.0)]
    runs: List[int] = []

    def look(count: int) -> None:
        looks.append(meter.look())
        runs.append(count)

    meter.start()
    try:
        work(look)
    except BaseException:
        with contextlib.suppress(MeterError):
            meter.stop()
        raise
    reading = meter.stop()
    # The reading is the better look at the end of the last batch.
    looks[-1] = Look(reading.energy_j, reading.seconds)
    pairs = list(zip(looks, looks[1:]))
    return _Window(
        reading,
        runs,
        energy_j=[after.energy_j - before.energy_j for before, after in pairs],
        seconds=[after.seconds - before.seconds for before, after in pairs],
    )


def _summary(before: _Window, busy: _Window, after: _Window, meter: Meter, confidence: float) -> pb.EnergyResult:
    facts = meter.facts
    runs = sum(busy.runs)
    before_w, after_w = (window.reading.energy_j / window.reading.seconds for window in (before, after))
    idle_off_j = before.reading.resolution_j + after.reading.resolution_j
    idle_s = before.reading.seconds + after.reading.seconds
    idle = ratio_of_sums(
        before.energy_j + after.energy_j,
        before.seconds + after.seconds,
        confidence,
        [idle_off_j / idle_s, abs(before_w - after_w) / 2],
    )
    resolution_j = busy.reading.resolution_j / runs
    gross = ratio_of_sums(busy.energy_j, busy.runs, confidence, [resolution_j])
    net_batches = [energy_j - idle.value * seconds for energy_j, seconds in zip(busy.energy_j, busy.seconds)]
    # How uncertain the idle power is, over the time of an inference.
    idle_j = idle.reach * busy.reading.seconds / runs if idle.reach is not None else 0.0
    net = ratio_of_sums(net_batches, busy.runs, confidence, [resolution_j, idle_j])
    power = ratio_of_sums(busy.energy_j, busy.seconds, confidence, [busy.reading.resolution_j / busy.reading.seconds])

    def figure(ratio: Ratio, samples: int) -> figure_pb2.Figure:
        made = figures.measured(ratio.value, samples, ratio.interval(confidence, _METHOD))
        made.origin = facts.origin
        return made

    return pb.EnergyResult(
        energy_j=figure(gross, runs),
        net_energy_j=figure(net, runs),
        power_w=figure(power, len(busy.runs)),
        idle_power_w=figure(idle, len(before.seconds) + len(after.seconds)),
        source=facts.source,
        window_s=busy.reading.seconds,
        runs=runs,
        rails=[
            pb.RailEnergy(name=name, energy_j=energy_j / runs, counted=name in facts.counted)
            for name, energy_j in busy.reading.rails.items()
        ],
        resolution_j=resolution_j,
        wraps=busy.reading.wraps,
        idle_before_w=before_w,
        idle_after_w=after_w,
        batches=len(busy.runs),
        coverage=facts.remark,
    )
