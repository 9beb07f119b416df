"""Compare two models on devices: what a user may ask, and the rounds of jobs that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gauntlet import files, options, protocol, setup
from gauntlet.errors import UsageError
from gauntlet.setup import SetupOptions

if TYPE_CHECKING:
    from gauntlet.api import Lab
    from orchestrator.protocol import Protocol
    from protos.gauntlet.v1 import artifact_pb2, figure_pb2, fleet_pb2, job_pb2, measurement_pb2

#: Told of each change of a job, with how many of the round have ended and how many there are.
OnChange = Callable[["job_pb2.Job", int, int], None]


class CompareOptions(SetupOptions, total=False):
    """Everything but the models; what is left out has the default that `gauntlet compare --help` names."""

    #: Ids or classes of devices, each of which compares; empty: one that fits.
    devices: Sequence[str]
    #: Labels that a device must carry.
    labels: Mapping[str, str]
    runtime: str
    threads: int
    #: "xnnpack" or "none"; empty: XNNPACK for .tflite models, the runtime's first for others.
    delegate: str
    #: All numbers of the comparison: a YAML file, or any part of {"comparison": {"max_s": 5}}; see
    #: `gauntlet compare --show-protocol`. The options from here to `queue_timeout_s` count more.
    protocol: str | Path | Mapping[str, Any] | Protocol | None
    #: Fresh processes: at first, and at most.
    processes: int
    max_processes: int
    #: Wanted half-width of the ratio's interval, 0-1.
    half_width: float
    #: Most seconds of blocks in each process.
    max_s: float
    pin: bool
    #: Seconds of work after which the comparison is killed, and seconds in the queue after which it fails (0: never).
    timeout_s: float
    queue_timeout_s: float
    #: What each device is known to make of a model compared with itself, 0-1.
    noise_floor: float | None
    #: Compare A with itself on each device first, and judge by the noise floor found.
    aa: bool


@dataclass(frozen=True)
class Comparison:
    """B against A on one device.

    Attributes:
        job: the job as the lab keeps it: what was asked, attempts, result or failure.
        device: the device, as it describes itself; None if it has left the lab.
        control: the job that compared A with itself before, if that was asked for.
    """

    job: job_pb2.Job
    device: fleet_pb2.Device | None = None
    control: job_pb2.Job | None = None

    @property
    def result(self) -> measurement_pb2.ComparisonResult:
        """All figures, with the blocks of each process."""
        return self.job.result.comparison

    @property
    def ratio(self) -> float | None:
        """Time of B over time of A."""
        return _value(self.result.ratio)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the ratio."""
        if self.ratio is None:
            return None
        interval = self.result.ratio.estimate.interval
        return interval.low, interval.high

    @property
    def verdict(self) -> str:
        """What B is: "faster", "slower" or "indistinguishable"; empty for a failed job."""
        from gauntlet.comparison_json import verdict_name

        return verdict_name(self.result.verdict) if self.job.HasField("result") else ""

    @property
    def noise_floor(self) -> float | None:
        """That A compared with itself shows: of this job where B is A, else the one that the verdict heeds."""
        own = _value(self.result.measured_noise_floor)
        return _value(self.result.noise_floor) if own is None else own

    def to_dict(self) -> dict[str, Any]:
        """The same as an entry of `gauntlet compare --json`."""
        from gauntlet.results_json import job_document

        control = job_document(self.control) if self.control is not None else None
        return {**job_document(self.job, self.device), "control": control}


def check(a: Path, b: Path, asked: CompareOptions, limit_bytes: int = 0) -> None:
    """Refuse what is plainly wrong, before anything is started.

    Raises:
        UsageError: a file or a number that cannot be meant.
    """
    chosen = protocol.resolve(asked, protocol.COMPARE_OPTIONS)
    kinds = [files.check_model(path) for path in (a, b)]
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"{b}: of another kind than {a}, and latencies of different runtimes are never ranked together",
            "convert one of them, or measure each with gauntlet bench",
        )
    for path in (a, b):
        files.check_size(path, limit_bytes)
    options.check_threads(asked)
    setup.check(asked, chosen.comparison.pin)
    floor = asked.get("noise_floor")
    if floor is not None and not 0 <= floor < 1:
        raise UsageError(f"noise_floor must lie between 0 and 1 (1 % is 0.01), not {floor}")
    if floor is not None and asked.get("aa"):
        raise UsageError("a noise floor is given and to be measured as well", "give noise_floor or aa, not both")


def run(
    lab: Lab, a: Path, b: Path, asked: CompareOptions, on_change: OnChange = lambda job, ended, total: None
) -> list[Comparison]:
    """Compare on every device that is asked for, in the order asked; cancelled when interrupted.

    Returns:
        One comparison for each device. Where a job failed, it has no result; the others do.

    Raises:
        UsageError: a device that nobody knows, or a file larger than the lab takes.
        ClientError: the lab refused it, or is gone.
    """
    limit_bytes = lab.client.status().max_artifact_bytes
    for path in (a, b):
        files.check_size(path, limit_bytes)
    places = [options.selector(lab.client, name) for name in asked.get("devices") or [""]]
    media_type = files.check_model(a)
    ref_a = lab.client.put_file(a, media_type)
    ref_b = lab.client.put_file(b, media_type)
    floors = [asked.get("noise_floor")] * len(places)
    if not asked.get("aa") or ref_a.digest == ref_b.digest:
        jobs = _round(lab, ref_a, ref_b, places, floors, asked, on_change)
        return [Comparison(job, _device(lab, job)) for job in jobs]
    controls = _round(lab, ref_a, ref_a, places, floors, asked, on_change)
    good = [index for index, control in enumerate(controls) if control.HasField("result")]
    # The same device, where a class was asked for or any.
    same = [(controls[index].result.provenance.device_id, "") for index in good]
    found = [_value(controls[index].result.comparison.measured_noise_floor) for index in good]
    second = dict(zip(good, _round(lab, ref_a, ref_b, same, found, asked, on_change), strict=True))
    return [
        Comparison(second[index], _device(lab, second[index]), control) if index in second else Comparison(control)
        for index, control in enumerate(controls)
    ]


def _round(
    lab: Lab,
    a: artifact_pb2.ArtifactRef,
    b: artifact_pb2.ArtifactRef,
    places: Sequence[tuple[str, str]],
    floors: Sequence[float | None],
    asked: CompareOptions,
    on_change: OnChange,
) -> list[job_pb2.Job]:
    """One job for each place, all to their end."""
    from orchestrator.client import Ended, specs

    if not places:
        return []
    chosen = protocol.resolve(asked, protocol.COMPARE_OPTIONS)
    numbers = chosen.comparison.model_dump(exclude={"timeout_s"})
    wanted = []
    for (device_id, device_class), floor in zip(places, floors, strict=True):
        comparison = specs.comparison_spec(b, noise_floor=floor, **numbers)
        measurement = specs.measurement_spec(
            a,
            runtime=asked.get("runtime", ""),
            threads=asked.get("threads", 1),
            delegate=asked.get("delegate") or None,
            memory=False,
            energy=False,
            comparison=comparison,
            setup=setup.device_setup(asked),
            throttle=specs.throttle_spec(**chosen.throttle.model_dump()),
            timeout_s=chosen.comparison.timeout_s,
        )
        wanted.append(
            specs.job_spec(
                measurement,
                device_id=device_id,
                device_class=device_class,
                labels=asked.get("labels"),
                queue_timeout_s=chosen.job.queue_timeout_s,
                max_attempts=chosen.job.max_attempts,
            )
        )
    job_ids = [job.job_id for job in lab.client.submit(wanted)]
    ended = Ended(job_ids)
    with lab.cancelling(job_ids):
        for job in lab.watch(job_ids):
            ended.take(job)
            on_change(job, len(ended), len(job_ids))
    return ended.jobs()


def _device(lab: Lab, job: job_pb2.Job) -> fleet_pb2.Device | None:
    return lab.device(job.result.provenance.device_id) if job.HasField("result") else None


def _value(figure: figure_pb2.Figure) -> float | None:
    from protos.figures import value_of

    return value_of(figure)
