"""What a user may ask of a measurement, and the job specifications that it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from gauntlet import files, setup
from gauntlet.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.client import SyncClient
    from protos.gauntlet.v1 import job_pb2


#: All that some runtime may offer, "none" for its plain kernels.
DELEGATES = ("xnnpack", "none", "cpu", "cuda", "tensorrt", "nnapi")


class BenchOptions(TypedDict, total=False):
    """Everything but the model; what is left out has the default that `gauntlet bench --help` names."""

    #: Id or class of the device; empty: any that fits.
    device: str
    #: Labels that the device must carry.
    labels: Mapping[str, str]
    #: "litert", …; empty: the device's first that takes the model.
    runtime: str
    threads: int
    #: Delegate or execution provider: "xnnpack", "cpu", "cuda", …, "none"; empty: the default of the model's runtime.
    delegate: str
    #: Most samples, and most seconds, of the steady state.
    max_samples: int
    max_s: float
    #: Stop once the median is known this well: half the width of its interval over the median, 0-1.
    half_width: float
    #: Fewest runs before timing.
    warmup_runs: int
    #: Hold each thread to a core of its own.
    pin: bool
    #: State of the device during the timed windows, where it permits: governor, clock limits, a Jetson's power mode
    #: and clocks, and the cores among which threads are held: "big", "little", or numbers such as "0-3".
    governor: str
    min_frequency_hz: float
    max_frequency_hz: float
    power_mode: str
    jetson_clocks: bool
    cores: str
    memory: bool
    energy: bool
    #: Times of operators, by the runtime's profiler.
    profile: bool
    #: Data set to measure accuracy on, and reference outputs to check against: `.npz` files.
    data: str | Path | None
    reference: str | Path | None
    #: Largest difference to the reference, in its standard deviations.
    tolerance: float
    #: Seconds of work after which the worker is killed, and seconds in the queue after which the job fails (0: never).
    timeout_s: float
    queue_timeout_s: float


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
    if not models:
        raise UsageError("no model given", "name at least one .tflite, .onnx or .pt2 file")
    for model in models:
        files.check_model(model)
        files.check_size(model, limit_bytes)
    if data := options.get("data"):
        files.check_data(Path(data), "labels")
    if reference := options.get("reference"):
        files.check_data(Path(reference), "outputs")
    for name in ("threads", "max_samples", "max_s", "timeout_s", "tolerance"):
        value = options.get(name, 1)
        if not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise UsageError(f"{name} must be greater than 0, not {value}")
    setup.check(options)
    if not 0 < options.get("half_width", 0.01) < 1:
        raise UsageError(f"half_width must lie between 0 and 1 (1 % is 0.01), not {options['half_width']}")


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

    timing = {
        "max_samples": options.get("max_samples"),
        "max_s": options.get("max_s"),
        "half_width": options.get("half_width"),
        "warmup_min_runs": options.get("warmup_runs"),
    }
    given = {name: value for name, value in timing.items() if value is not None}
    latency = specs.latency_spec(pin=options.get("pin", True), **given)  # type: ignore[arg-type]  # checked above
    accuracy = output_check = None
    if data:
        accuracy = specs.accuracy_spec(client.put_file(Path(data), files.DATA_MEDIA_TYPE))
    if reference:
        uploaded = client.put_file(Path(reference), files.DATA_MEDIA_TYPE)
        output_check = specs.output_check_spec(uploaded, options.get("tolerance", 0.05))
    return [
        specs.job_spec(
            specs.measurement_spec(
                client.put_file(model, files.check_model(model)),
                runtime=options.get("runtime", ""),
                threads=options.get("threads", 1),
                delegate=options.get("delegate") or None,
                latency=latency,
                memory=options.get("memory", True),
                accuracy=accuracy,
                output_check=output_check,
                energy=options.get("energy", True),
                profile=options.get("profile", False),
                setup=setup.device_setup(options),
                timeout_s=options.get("timeout_s", 120.0),
            ),
            device_id=device_id,
            device_class=device_class,
            labels=options.get("labels"),
            queue_timeout_s=options.get("queue_timeout_s", 0.0),
        )
        for model in models
    ]


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
