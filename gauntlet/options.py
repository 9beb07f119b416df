"""What a user may ask of a measurement, and the job specifications that it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gauntlet import files, protocol, setup
from gauntlet.errors import UsageError
from gauntlet.setup import SetupOptions

if TYPE_CHECKING:
    from orchestrator.client import SyncClient
    from orchestrator.protocol import Protocol
    from protos.gauntlet.v1 import job_pb2


#: All that some runtime may offer, "none" for its plain kernels.
DELEGATES = ("xnnpack", "none", "cpu", "cuda", "tensorrt", "nnapi")


#: MLPerf's: one inference after the other, queries of several samples, as many samples a second as possible.
SCENARIOS = ("single-stream", "multi-stream", "offline")


class BenchOptions(SetupOptions, total=False):
    """Everything but the model; what is left out has the default that `gauntlet bench --help` names."""

    #: Id or class of the device; empty: any that fits.
    device: str
    #: Labels that the device must carry.
    labels: Mapping[str, str]
    #: Quantities that it must be able to sense, such as "energy_j", and the least memory that it must have.
    needs: Sequence[str]
    min_memory_bytes: int
    #: "litert", …; empty: the device's first that takes the model.
    runtime: str
    threads: int
    #: Delegate or execution provider: "xnnpack", "cpu", "cuda", …, "none"; empty: the default of the model's runtime.
    delegate: str
    #: All numbers of the measurement: a YAML file, or any part of {"latency": {"max_s": 5}}; see
    #: `gauntlet bench --show-protocol`. The options from here to `timeout_s` count more.
    protocol: str | Path | Mapping[str, Any] | Protocol | None
    #: Most samples, and most seconds, of the steady state.
    max_samples: int
    max_s: float
    #: Stop once the median is known this well: half the width of its interval over the median, 0-1.
    half_width: float
    #: Fewest runs before timing.
    warmup_runs: int
    #: Hold each thread to a core of its own.
    pin: bool
    #: Fresh processes that measure the latency, at first.
    processes: int
    #: Samples of a multi-stream query; batch sizes and numbers of threads of the offline scenario.
    streams: int
    batch_sizes: Sequence[int]
    offline_threads: Sequence[int]
    #: Largest difference to the reference, in its standard deviations.
    tolerance: float
    #: Seconds of work after which the worker is killed, and seconds in the queue after which the job fails (0: never).
    timeout_s: float
    queue_timeout_s: float
    #: Of `SCENARIOS`; the first one if left out.
    scenarios: Sequence[str]
    memory: bool
    energy: bool
    #: Times of operators, by the runtime's profiler.
    profile: bool
    #: Data set to measure accuracy on, and reference outputs to check against: `.npz` files.
    data: str | Path | None
    reference: str | Path | None


def own_limit_bytes() -> int:
    """Largest file that an embedded lab takes."""
    from orchestrator.config import Config

    return Config.max_artifact_bytes


def check(models: Sequence[Path], options: BenchOptions, limit_bytes: int = 0) -> None:
    """Refuse what is plainly wrong, before anything is started.

    Args:
        models: the files.
        options: what is asked of them.
        limit_bytes: largest file that the lab takes, if that is known; else 0.

    Raises:
        UsageError: a file or a number that cannot be meant.
    """
    chosen = protocol.resolve(options, protocol.BENCH_OPTIONS)
    scenarios_of(options)
    if not models:
        raise UsageError("no model given", "name at least one .tflite, .onnx or .pt2 file")
    for model in models:
        files.check_model(model)
        files.check_size(model, limit_bytes)
    if data := options.get("data"):
        files.check_data(Path(data), "labels")
    if reference := options.get("reference"):
        files.check_data(Path(reference), "outputs")
    check_threads(options)
    setup.check(options, chosen.latency.pin)


def check_threads(options: Mapping[str, Any]) -> None:
    """Refuse what is no number of threads.

    Raises:
        UsageError: so it is.
    """
    threads = options.get("threads", 1)
    if not isinstance(threads, int) or threads < 1:
        raise UsageError(f"threads must be greater than 0, not {threads}", "give a whole number")


def scenarios_of(options: BenchOptions) -> Sequence[str]:
    """What is timed.

    Raises:
        UsageError: no such scenario.
    """
    asked = options.get("scenarios") or SCENARIOS[:1]
    for name in asked:
        if name not in SCENARIOS:
            raise UsageError(f"there is no scenario {name}", f"give one of {', '.join(SCENARIOS)}")
    return asked


def check_scenarios(options: BenchOptions, flags: Mapping[str, Any]) -> None:
    """Refuse flags that would change nothing, for their scenario is not asked for.

    Raises:
        UsageError: such a flag, or no such scenario.
    """
    parts = dict(zip(("latency", "multi_stream", "offline"), SCENARIOS, strict=True))
    asked = scenarios_of(options)
    for name, value in flags.items():
        path, flag = protocol.BENCH_OPTIONS[name]
        scenario = parts.get(path.partition(".")[0])
        if value is not None and scenario is not None and scenario not in asked:
            raise UsageError(
                f"{flag} belongs to the {scenario} scenario, which is not asked for",
                f"add --scenario {scenario}; numbers of other scenarios: --show-protocol and --set",
            )


def job_specs(client: SyncClient, models: Sequence[Path], options: BenchOptions) -> list[job_pb2.JobSpec]:
    """Upload what the jobs need and specify them, one for each model.

    Raises:
        UsageError: a file larger than the lab takes, or a device that nobody knows.
        ClientError: the orchestrator refused a file or is gone.
    """
    from orchestrator.client import specs

    data, reference = options.get("data"), options.get("reference")
    extra = [Path(path) for path in (data, reference) if path]
    limit_bytes = client.status().max_artifact_bytes
    for path in (*models, *extra):
        files.check_size(path, limit_bytes)
    device_id, device_class = selector(client, options.get("device", ""))

    chosen = protocol.resolve(options, protocol.BENCH_OPTIONS)
    scenarios = scenarios_of(options)
    accuracy = output_check = None
    if data:
        accuracy = specs.accuracy_spec(
            client.put_file(Path(data), files.DATA_MEDIA_TYPE), **chosen.accuracy.model_dump()
        )
    if reference:
        uploaded = client.put_file(Path(reference), files.DATA_MEDIA_TYPE)
        output_check = specs.output_check_spec(uploaded, **chosen.output_check.model_dump())
    return [
        specs.job_spec(
            specs.measurement_spec(
                client.put_file(model, files.check_model(model)),
                runtime=options.get("runtime", ""),
                threads=options.get("threads", 1),
                delegate=options.get("delegate") or None,
                latency=specs.latency_spec(**chosen.latency.model_dump()) if SCENARIOS[0] in scenarios else None,
                multi_stream=specs.multi_stream_spec(**chosen.multi_stream.model_dump())
                if SCENARIOS[1] in scenarios
                else None,
                offline=specs.offline_spec(**chosen.offline.model_dump()) if SCENARIOS[2] in scenarios else None,
                throttle=specs.throttle_spec(**chosen.throttle.model_dump()),
                memory=options.get("memory", True),
                memory_runs=chosen.memory.runs,
                accuracy=accuracy,
                output_check=output_check,
                energy=options.get("energy", True),
                energy_window_s=chosen.energy.window_s,
                profile=options.get("profile", False),
                profile_inferences=chosen.profile.inferences,
                setup=setup.device_setup(options),
                timeout_s=_time_limit_s(chosen, scenarios),
            ),
            device_id=device_id,
            device_class=device_class,
            labels=options.get("labels"),
            sensors=options.get("needs", ()),
            min_memory_bytes=options.get("min_memory_bytes", 0),
            queue_timeout_s=chosen.job.queue_timeout_s,
            max_attempts=chosen.job.max_attempts,
        )
        for model in models
    ]


def _time_limit_s(chosen: Protocol, scenarios: Sequence[str]) -> float:
    """As asked for; else the usual one, and the longest that further processes and scenarios may take."""
    from orchestrator.protocol import MAX_S

    if chosen.is_given("job.timeout_s"):
        return chosen.job.timeout_s
    latency, offline = chosen.latency, chosen.offline
    further_s = 0.0
    if SCENARIOS[0] in scenarios and latency.processes > 1:
        further_s += (latency.max_processes - 1) * (latency.warmup_max_s + latency.max_s)
    if SCENARIOS[1] in scenarios:
        further_s += latency.warmup_max_s + chosen.multi_stream.max_s
    if SCENARIOS[2] in scenarios:
        cells = len(offline.batch_sizes) * len(offline.threads)
        further_s += cells * (latency.warmup_max_s + offline.max_s)
    return min(chosen.job.timeout_s + further_s * (1 + chosen.throttle.repeats), MAX_S)


def selector(client: SyncClient, device: str) -> tuple[str, str]:
    """`device` as a device id or a device class, whichever it is; the other is empty."""
    if not device:
        return "", ""
    known = [entry.description for entry in client.devices()]
    if any(entry.device_id == device for entry in known):
        return device, ""
    if any(entry.device_class == device for entry in known):
        return "", device
    listed = ", ".join(f"{entry.device_id} (class {entry.device_class})" for entry in known)
    raise UsageError(
        f"no device and no device class is called {device}",
        f"there is {listed}" if listed else "no device has joined this lab; start gauntlet-agent on one",
    )
