"""The protocol of a measurement: every number that says what is timed, how long, and when it stops.

The defaults stand here alone, with their units, ranges and meanings; specifications (`orchestrator.client.specs`), the
command line, campaign files and the handbook take them from here. Light on purpose: no gRPC, no protobuf.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_COUNTS = re.compile(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*")
#: Longest that anything may take.
MAX_S = 3600.0
_MAX_SAMPLES = 1_000_000
_MAX_PROCESSES = 100
_MAX_BLOCKS = 4_000
_MAX_BATCH = 4_096
_MAX_THREADS = 256
#: Of an offline scenario: batch sizes times threads.
MAX_CELLS = 64


@dataclass(frozen=True)
class Unit:
    """What a number counts.

    Attributes:
        name: as it stands behind a number; empty where there is none.
        form: how to write it, for people who wrote it otherwise.
    """

    name: str
    form: str


def _reader(what: str, factors: Mapping[str, float]) -> Callable[[Any], Any]:
    """Reads texts: a number, and behind it perhaps a unit, so many of which make one. YAML takes 1e-3 for a text."""
    units = "|".join(map(re.escape, factors))
    form = re.compile(rf"\s*([-+]?[\d.]+(?:e[-+]?\d+)?|nan|[-+]?inf)\s*({units})?\s*", re.IGNORECASE)

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            number, unit = form.fullmatch(value).groups()  # type: ignore[union-attr]  # an AttributeError is an answer
            return float(number) / factors[unit] if unit else float(number)
        except (AttributeError, KeyError, ValueError):
            raise ValueError(f"{value} is no {what}") from None

    return read


_read_seconds = _reader("duration", {"us": 1e6, "µs": 1e6, "ms": 1e3, "s": 1.0, "min": 1 / 60, "h": 1 / 3600})
_read_number = _reader("number", {})
#: A share of 1 from "1%" or "0.01"; a ValueError where it is none. What is no text stays as it is.
read_share = _reader("share", {"%": 100.0})


def _different(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(value)) < len(value):
        raise ValueError("names a number twice")
    return value


def _several(value: Any) -> Any:
    if isinstance(value, str):
        if not _COUNTS.fullmatch(value):
            raise ValueError(f"{value} is no list of whole numbers")
        return tuple(int(part) for part in value.split(","))
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


def _list_of_counts() -> tuple[Any, ...]:
    limits = Field(min_length=1, max_length=MAX_CELLS)
    return Unit("", "give whole numbers: 1,4,16"), BeforeValidator(_several), AfterValidator(_different), limits


Count = Annotated[int, Unit("", "give a whole number")]
BatchSizes = Annotated[tuple[Annotated[int, Field(ge=1, le=_MAX_BATCH)], ...], *_list_of_counts()]
ThreadCounts = Annotated[tuple[Annotated[int, Field(ge=1, le=_MAX_THREADS)], ...], *_list_of_counts()]
Seconds = Annotated[
    float, Unit("s", "give seconds: 2, 2s, 500ms or 1min"), BeforeValidator(_read_seconds), Field(allow_inf_nan=False)
]
Share = Annotated[float, Unit("share", "give it as 1% or as 0.01"), BeforeValidator(read_share), Field(gt=0, lt=1)]
Celsius = Annotated[
    float, Unit("°C", "give degrees Celsius"), BeforeValidator(_read_number), Field(allow_inf_nan=False)
]
Deviations = Annotated[float, Unit("σ", "give standard deviations"), BeforeValidator(_read_number), Field(gt=0, le=1e6)]
Switch = Annotated[bool, Unit("", "give true or false")]


class Part(BaseModel):
    """Numbers that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_MOST_PROCESSES = "most of them, if the first differ too much"


def _warmup_runs() -> Any:
    return Field(10, ge=0, le=_MAX_SAMPLES, description="fewest runs before timing")


def _warmup_min_s(default: float) -> Any:
    return Field(default, ge=0, le=MAX_S, description="shortest warm-up")


def _warmup_max_s(default: float) -> Any:
    return Field(default, ge=0, le=MAX_S, description="longest warm-up, settled or not")


def _warmup_tolerance() -> Any:
    return Field(0.02, description="medians of consecutive warm-up windows agree within this")


def _confidence() -> Any:
    return Field(0.95, description="of the intervals")


def _pin() -> Any:
    return Field(True, description="hold each thread to a core of its own")


def _min_sample_s() -> Any:
    return Field(100e-6, ge=0, le=1, description="a shorter sample is made of several calls")


class Latency(Part):
    """Single stream: one inference after the other."""

    warmup_min_runs: Count = _warmup_runs()
    warmup_min_s: Seconds = _warmup_min_s(0.5)
    warmup_max_s: Seconds = _warmup_max_s(10.0)
    warmup_tolerance: Share = _warmup_tolerance()
    min_samples: Count = Field(30, ge=1, le=_MAX_SAMPLES, description="fewest samples")
    max_samples: Count = Field(100_000, ge=1, le=_MAX_SAMPLES, description="most samples")
    min_s: Seconds = Field(1.0, ge=0, le=MAX_S, description="shortest timing")
    max_s: Seconds = Field(10.0, ge=1e-3, le=MAX_S, description="longest timing, after the warm-up")
    half_width: Share = Field(0.01, description="stop once the median's interval is this narrow on either side")
    confidence: Share = _confidence()
    min_sample_s: Seconds = _min_sample_s()
    pin: Switch = _pin()
    processes: Count = Field(1, ge=1, le=_MAX_PROCESSES, description="fresh processes that measure it, at first")
    max_processes: Count = Field(15, ge=1, le=_MAX_PROCESSES, description=_MOST_PROCESSES)


class MultiStream(Part):
    """Queries of several samples, the next as soon as one is answered (MLPerf)."""

    samples_per_query: Count = Field(8, ge=1, le=_MAX_BATCH, description="samples of a query")
    min_queries: Count = Field(662, ge=1, le=_MAX_SAMPLES, description="fewest queries; p99 takes 662")
    max_queries: Count = Field(100_000, ge=1, le=_MAX_SAMPLES, description="most queries")
    min_s: Seconds = Field(1.0, ge=0, le=MAX_S, description="shortest timing")
    max_s: Seconds = Field(60.0, ge=1e-3, le=MAX_S, description="longest timing")


class Offline(Part):
    """As many samples a second as possible (MLPerf): a cell for each batch size with each number of threads."""

    batch_sizes: BatchSizes = Field((1, 2, 4, 8, 16, 32), description="samples of a call")
    threads: ThreadCounts = Field((1,), description="threads of the runtime")
    min_s: Seconds = Field(0.5, ge=1e-3, le=MAX_S, description="shortest timing of a cell")
    max_s: Seconds = Field(5.0, ge=1e-3, le=MAX_S, description="longest timing of a cell")
    half_width: Share = Field(0.01, description="a cell ends once its throughput is known this well")


class Throttle(Part):
    """What happens when the device throttles while something is timed."""

    repeats: Count = Field(2, ge=0, le=10, description="times that a window is taken again; 0: never")
    cool_to_c: Celsius = Field(0.0, ge=0, le=150, description="cool down to; 0: 2 degrees above the first window's")
    cool_max_s: Seconds = Field(120.0, ge=0, le=MAX_S, description="longest wait for that")
    drift: Share = Field(0.03, description="shift of the median within a window that counts as throttling")


class Memory(Part):
    """Peak memory, in a fresh process."""

    runs: Count = Field(5, ge=1, le=10_000, description="inferences before the peak is read")


class Energy(Part):
    """Energy of an inference, where the device can sense it."""

    window_s: Seconds = Field(5.0, ge=0.1, le=600, description="metered window; longer where the sensor is slow")


class Accuracy(Part):
    """Accuracy on a data set, where one is given."""

    batch_size: Count = Field(32, ge=1, le=_MAX_BATCH, description="samples of a call")
    confidence: Share = _confidence()


class OutputCheck(Part):
    """Outputs against reference outputs, where they are given."""

    tolerance: Deviations = Field(0.05, description="largest difference, in the reference's standard deviations")


class Profile(Part):
    """Times of operators, where they are asked for."""

    inferences: Count = Field(50, ge=1, le=10_000, description="profiled inferences")


class Comparison(Part):
    """gauntlet compare: two models in turn, in blocks A B B A, in several fresh processes."""

    processes: Count = Field(6, ge=2, le=_MAX_PROCESSES, description="fresh processes that compare, at first")
    max_processes: Count = Field(15, ge=2, le=_MAX_PROCESSES, description=_MOST_PROCESSES)
    min_segment_s: Seconds = Field(0.005, ge=0, le=10, description="shortest segment: one model without a switch")
    min_segment_samples: Count = Field(5, ge=1, le=10_000, description="fewest samples of a segment")
    min_sample_s: Seconds = _min_sample_s()
    min_blocks: Count = Field(20, ge=1, le=_MAX_BLOCKS, description="fewest blocks of a process")
    max_blocks: Count = Field(1_000, ge=1, le=_MAX_BLOCKS, description="most blocks of a process")
    max_s: Seconds = Field(2.0, ge=1e-3, le=MAX_S, description="longest time of blocks in each process")
    half_width: Share = Field(0.01, description="wanted interval of the ratio, on either side")
    confidence: Share = _confidence()
    warmup_min_runs: Count = _warmup_runs()
    warmup_min_s: Seconds = _warmup_min_s(0.3)
    warmup_max_s: Seconds = _warmup_max_s(3.0)
    warmup_tolerance: Share = _warmup_tolerance()
    pin: Switch = _pin()
    timeout_s: Seconds = Field(300.0, ge=0.1, le=MAX_S, description="work after which a comparison is killed")


class Job(Part):
    """The job that carries the measurement out."""

    timeout_s: Seconds = Field(
        120.0, ge=0.1, le=MAX_S, description="work after which it is killed; left out, longer for what takes longer"
    )
    queue_timeout_s: Seconds = Field(0.0, ge=0, le=1e9, description="fails after so long in the queue; 0: never")
    max_attempts: Count = Field(3, ge=1, le=10, description="attempts, where the device or the lab was at fault")


class Protocol(Part):
    """All of it, part by part."""

    latency: Latency = Latency()
    multi_stream: MultiStream = MultiStream()
    offline: Offline = Offline()
    throttle: Throttle = Throttle()
    memory: Memory = Memory()
    energy: Energy = Energy()
    accuracy: Accuracy = Accuracy()
    output_check: OutputCheck = OutputCheck()
    profile: Profile = Profile()
    comparison: Comparison = Comparison()
    job: Job = Job()

    def parts(self) -> dict[str, Part]:
        """By name, in order."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    def is_given(self, path: str) -> bool:
        """Was this setting, such as "latency.max_s", asked for, or is it as it always is?"""
        part, _, name = path.partition(".")
        return name in getattr(self, part).model_fields_set


DEFAULT = Protocol()


def unit_of(part: Part, name: str) -> Unit:
    """Of one of its numbers."""
    return next(item for item in type(part).model_fields[name].metadata if isinstance(item, Unit))
