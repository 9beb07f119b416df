"""A device that throttled in a timed window cools down and measures again; what throttles each time is marked.

    window ──▶ signs? ──no──▶ done
      ▲         │ yes
      │         ├── repeats or time used up ──▶ done, marked as unfit
      └─ cool ◀─┘   to a temperature, while the host stays locked

Counters, cooling devices and a Raspberry Pi's firmware tell of the processor's heat, the firmware of its voltage, too.
They are silent about power limits and about most firmware that lowers a clock by itself. So latencies are judged
everywhere: samples that take longer at the end of a window than at its beginning have no one median, whatever the
cause. Faster ones are no sign of heat; that the device had not settled is remarked.
"""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass, field, replace
from typing import Callable, List, Optional, Sequence, Set, TypeVar

import numpy as np

from device_agent.classes.raspberry import in_words
from device_agent.hoststate import Probe
from device_agent.measure.conditions import Recorder
from device_agent.measure.statistics import Samples
from fault_injection.precision import student_t_quantile
from protos.gauntlet.v1 import measurement_pb2 as pb

#: A clock under load below this share of what it was has fallen.
_CLOCK_FELL = 0.95
_DRIFT_BLOCKS = 6
_DRIFT_CONFIDENCE = 0.9999
#: Above the temperature of the beginning; a board that works does not get back to it.
_MARGIN_C = 2.0
_POLL_S = 0.5
_LOST_READINGS = 3

Window = TypeVar("Window")


def _nothing() -> Samples:
    return np.array([], dtype=np.float64)


@dataclass(frozen=True)
class Evidence:
    """What was read in a window, in order; NaN where it could not be, empty where there is nothing to read.

    Attributes:
        counts: throttle events so far.
        cooling: state of the processor's cooling devices.
        limits_hz: the clock that is allowed.
        clocks_hz: the clock under load, for each quiet period.
        samples: latencies of the steady state; None: not to be judged.
        flags: what the firmware says, see `ThrottleFlags`.
        over_currents: how often the supply's protection has stepped in so far.
    """

    counts: Samples
    cooling: Samples
    limits_hz: Samples
    clocks_hz: Sequence[Samples]
    samples: Optional[Samples]
    flags: Samples = field(default_factory=_nothing)
    over_currents: Samples = field(default_factory=_nothing)

    @classmethod
    def of(cls, recorder: Recorder, row: int, pinned: bool, samples: Optional[Samples] = None) -> Evidence:
        """All since a row of the recorder. Clocks count where the work is pinned: among others, idle cores' would."""
        return cls(
            recorder.since(row, "throttle_count"),
            recorder.since(row, "cooling_state"),
            recorder.since(row, "frequency_limit_hz"),
            recorder.busy_since(row, "frequency_hz") if pinned else [],
            samples,
            recorder.since(row, "throttle_flags"),
            recorder.since(row, "over_current_count"),
        )


@dataclass(frozen=True)
class Sign:
    """One way in which a window shows that the device was slowed down.

    Attributes:
        what: the same words each time.
        how_far: numbers.
    """

    what: str
    how_far: str


def signs(seen: Evidence, before: Evidence, drift: float) -> List[Sign]:
    """What shows that the device throttled in a window.

    Args:
        seen: of the window.
        before: cooling and limits before the first window of all, clocks and samples of the first time that this one
            was taken. What is slower than it was then is throttled still, whether it fell just now or not.
        drift: least shift of the latencies that counts, a ratio; 0: they are not judged.
    """
    found = []
    events = _counted(seen.counts)
    if events:
        found.append(Sign("the processor was throttled for heat", f"{events:g} events"))
    flags = _flags(seen.flags) & ~_flags(before.flags[:1])
    if flags:
        found.append(Sign("the firmware held the processor back", ", ".join(in_words(flags))))
    state, state_then = _there(seen.cooling), _there(before.cooling)
    if len(state) and len(state_then) and state.max() > state_then[0]:
        found.append(Sign("a processor cooling device stepped in", f"state {state_then[0]:g} to {state.max():g}"))
    limit, limit_then = _there(seen.limits_hz), _there(before.limits_hz)
    if len(limit) and len(limit_then) and limit.min() < limit_then[0]:
        found.append(Sign("the clock that is allowed fell", _from_to(limit_then[0], limit.min())))
    for readings, readings_then in zip(map(_there, seen.clocks_hz), map(_there, before.clocks_hz)):
        low = _sustained_low(readings[1:])
        if len(readings_then) and low is not None and low < _CLOCK_FELL * readings_then[0]:
            found.append(Sign("the clock fell under load", _from_to(readings_then[0], low)))
            break
    rise = max(drift_of(seen.samples, drift), drift_of(seen.samples, drift, before.samples))
    if rise > 0:
        found.append(Sign("latencies rose above those of the beginning", f"by {100 * rise:.1f} %"))
    return found


def drift_of(samples: Optional[Samples], tolerance: float, first: Optional[Samples] = None) -> float:
    """By how much the median of the last third differs from that of the first; 0 for what noise does as well.

    It counts when it is larger than the tolerance and than the spread within the thirds allows: of each, the medians of
    six blocks of consecutive samples (batch means: what lasts longer than a sample spreads them), by a t-test at
    99.99 %. In simulations it took independent, heavy-tailed and bursty noise for drift in none of 1,950 windows; noise
    with a correlation of 0.9 between neighbours in 10 % at 30 samples, 2 % at 100 and none at 1,000. Fewer than 18
    samples cannot tell.

    Args:
        samples: in the order taken, shape (n,); None: not to be judged.
        tolerance: ratio; 0: not to be judged.
        first: samples of another window, whose first third counts.

    Returns:
        A ratio: above 0 when the end is slower, as when a device throttles; below when it is faster, as when it had not
        settled yet.
    """
    first = samples if first is None else first
    if samples is None or first is None or tolerance <= 0 or min(len(samples), len(first)) < 3 * _DRIFT_BLOCKS:
        return 0.0
    thirds = (first[: len(first) // 3], samples[-(len(samples) // 3) :])
    begin, end = (float(np.median(third)) for third in thirds)
    if begin <= 0 or abs(end / begin - 1) <= tolerance:
        return 0.0
    blocks = [[np.median(block) for block in np.array_split(third, _DRIFT_BLOCKS)] for third in thirds]
    error = math.sqrt(sum(np.var(medians, ddof=1) for medians in blocks) / _DRIFT_BLOCKS)
    beyond = abs(end - begin) > student_t_quantile(_DRIFT_CONFIDENCE, 2 * (_DRIFT_BLOCKS - 1)) * error
    return end / begin - 1 if beyond else 0.0


@dataclass(frozen=True)
class Cooling:
    """How a device cooled down.

    Attributes:
        seconds: that it took.
        from_c: first reading; None: there was none.
        to_c: last reading.
        reached: is it as cool as wanted?
        lost: did the sensor stop telling?
    """

    seconds: float
    from_c: Optional[float] = None
    to_c: Optional[float] = None
    reached: bool = False
    lost: bool = False


def cool_down(
    read: Callable[[], Optional[float]],
    target_c: float,
    most_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Cooling:
    """Wait until two readings in a row are at or below a temperature: a single one may be a slip of the sensor.

    Args:
        read: degrees Celsius, or None where the sensor does not tell.
        target_c: degrees Celsius.
        most_s: longest wait, seconds.
        clock: seconds, monotonic.
        sleep: waits.
    """
    begin, cool, silent = clock(), 0, 0
    readings: List[float] = []
    while True:
        degrees = read()
        if degrees is None:
            cool, silent = 0, silent + 1
        else:
            readings.append(degrees)
            cool, silent = (cool + 1 if degrees <= target_c else 0), 0
        passed_s = clock() - begin
        if cool == 2 or silent == _LOST_READINGS or passed_s >= most_s:
            from_c, to_c = (readings[0], readings[-1]) if readings else (None, None)
            return Cooling(passed_s, from_c, to_c, reached=cool == 2, lost=silent == _LOST_READINGS)
        sleep(min(_POLL_S, most_s - passed_s))


class Guard:
    """Takes the windows of a job, and takes them again when the device throttled.

    Args:
        spec: what to do then; None: remark it.
        recorder: of the conditions; what shows throttling is read from its series.
        thermometer: of what throttles; None: there is nothing to wait for.
        pinned: is the work held to the cores whose clock the recorder watches?
        work_s: seconds of work from now on, in which a window that is taken again must be over.
        report: told what is done, and whether that is waiting.
        remark: told what a reader of the figures should know.
        clock: seconds, monotonic.
        sleep: waits.

    Attributes:
        unfit: why the device was not fit for the windows so far, in words.
    """

    def __init__(
        self,
        spec: Optional[pb.ThrottleSpec],
        recorder: Recorder,
        thermometer: Optional[Probe],
        pinned: bool,
        work_s: float,
        report: Callable[[str, bool], None],
        remark: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._spec = spec or pb.ThrottleSpec()
        self._marks = spec is not None
        self._recorder = recorder
        self._thermometer = thermometer
        self._start_c = thermometer.read() if thermometer is not None else None
        self._pinned = pinned
        self._before = Evidence.of(recorder, recorder.mark(), pinned)
        self._work_end_s = clock() + work_s
        self._report = report
        self._remark = remark
        self._clock = clock
        self._sleep = sleep
        self._row = 0
        self._samples: Optional[Samples] = None
        # A device that throttled in one window however often it cooled down will do so in the next.
        self._hopeless = False
        self._told: Set[str] = set()
        self.unfit: List[str] = []

    def begin(self) -> None:
        """A window begins here."""
        self._row = self._recorder.mark()
        self._samples = None

    def judge(self, samples: Samples) -> None:
        """Latencies of the window's steady state, in the order taken: they are to be looked at for drift."""
        self._samples = samples

    def take(self, window: Callable[[], Window]) -> Window:
        """Take a window until the device does not throttle in it, or as often as was asked.

        Args:
            window: takes it, from `begin` on.
        """
        before: Optional[Evidence] = None
        for taken in itertools.count(1):
            begin_s = self._clock()
            outcome = window()
            took_s = self._clock() - begin_s
            seen = Evidence.of(self._recorder, self._row, self._pinned, self._samples)
            before = before or replace(self._before, clocks_hz=seen.clocks_hz, samples=seen.samples)
            found = signs(seen, before, self._spec.drift)
            if not found or not self._again(taken, took_s):
                break
            self._cool(found)
        self._tell_of_the_rest(seen)
        if found:
            self._hopeless = True
            self._note(found, taken)
        return outcome

    def _again(self, taken: int, took_s: float) -> bool:
        if self._hopeless or taken > self._spec.repeats:
            return False
        if self._clock() + took_s > self._work_end_s:
            self._remark("a throttled window was not taken again: too little of the time limit was left")
            return False
        return True

    def _note(self, found: Sequence[Sign], taken: int) -> None:
        how_often = f"each of {taken} windows" if taken > 1 else "a timed window"
        text = f"the device slowed down in {how_often}: {_joined(found)}"
        if not self._marks:
            self._remark(text)
        elif not self._told.issuperset(sign.what for sign in found):
            self.unfit.append(text)
        self._told.update(sign.what for sign in found)

    def _cool(self, found: Sequence[Sign]) -> None:
        why = _joined(found)
        target_c = self._spec.cool_to_c or (None if self._start_c is None else self._start_c + _MARGIN_C)
        if self._thermometer is None or target_c is None:
            self._remark(f"a timed window was taken again: {why}; there is no temperature to cool down to")
            return
        self._report(f"cooling down to {target_c:.1f} °C", True)
        done = cool_down(self._thermometer.read, target_c, self._spec.cool_max_s, self._clock, self._sleep)
        self._work_end_s += done.seconds
        self._remark(f"a timed window was taken again: {why}; {_in_words(done, target_c)}")

    def _tell_of_the_rest(self, seen: Evidence) -> None:
        for name, readings in (
            ("the throttle counter", seen.counts),
            ("the cooling devices' state", seen.cooling),
            ("the firmware's flags", seen.flags),
            ("the limit of the clock", seen.limits_hz),
            *(("the clock", readings) for readings in seen.clocks_hz[-1:]),
        ):
            if len(_there(readings)) < len(readings):
                self._remark(f"{name} could not be read all the time: throttling may have gone unseen")
        # A moment each: where they are so many that the work takes longer, the latencies tell.
        moments = _counted(seen.over_currents)
        if moments:
            self._remark(f"over-current protection lowered clocks for moments, {moments:g} times in a timed window")
        shift = drift_of(seen.samples, self._spec.drift)
        if shift < 0:
            self._remark(f"latencies fell by {-100 * shift:.1f} % within the timing: it had not settled before")


def _there(readings: Samples) -> Samples:
    told: Samples = readings[~np.isnan(readings)]
    return told


def _counted(readings: Samples) -> float:
    """Events in a window; a counter that stands lower at the end has started anew."""
    told = _there(readings)
    if not len(told):
        return 0.0
    return float(told[-1] - (told[0] if told[-1] >= told[0] else told.min()))


def _flags(readings: Samples) -> int:
    """All flags that were ever up."""
    return int(np.bitwise_or.reduce(_there(readings).astype(np.int64)))


def _from_to(begin_hz: float, end_hz: float) -> str:
    return f"from {begin_hz / 1e9:.2f} to {end_hz / 1e9:.2f} GHz"


def _sustained_low(readings: Samples) -> Optional[float]:
    """The lowest that two readings in a row, or the only one, stayed below; None without any."""
    if len(readings) < 2:
        return float(readings[0]) if len(readings) else None
    return float(np.maximum(readings[1:], readings[:-1]).min())


def _joined(found: Sequence[Sign]) -> str:
    return "; ".join(f"{sign.what} ({sign.how_far})" for sign in found)


def _in_words(done: Cooling, target_c: float) -> str:
    if done.from_c is None or done.to_c is None:
        return "the temperature could not be read any more"
    path = f"from {done.from_c:.1f} to {done.to_c:.1f} °C in {done.seconds:.1f} s"
    if done.reached:
        return f"it cooled down {path}"
    if done.lost:
        return f"it went {path}, then the temperature could not be read any more"
    return f"it went {path} and did not reach {target_c:.1f} °C"
