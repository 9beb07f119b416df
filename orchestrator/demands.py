"""What a job asks of a device, as a small value with one canonical text: jobs with equal texts queue together."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from protos.gauntlet.v1 import device_pb2, job_pb2, setup_pb2

_FORMATS = {"model/tflite": "tflite", "model/onnx": "onnx", "model/pt2": "pt2"}
#: What its owner can do about it.
_HINTS = {
    "onnx": " (they need gauntlet[onnx] on it)",
    "pt2": " (they can run code where they are loaded: they need torch on it and an agent started with --allow-pt2 or "
    "GAUNTLET_ALLOW_PT2=1)",
}
#: What capabilities are called, where their names do not say it.
_WORDS = {"processes": "latency in several processes", "multi_stream": "multi-stream", "output_check": "output check"}


@dataclass(frozen=True)
class Demand:
    """All that is given must fit.

    Attributes:
        device_id: this very device, or empty.
        device_class: any device of the class, or empty.
        labels: (key, value) pairs, sorted.
        runtime: name of a runtime that the device must have, or empty.
        format: model format that one of its runtimes must take.
        delegate: delegate that the runtime must offer; empty: none.
        capabilities: parts of the specification that the agent must know, sorted.
        controls: (name, value) pairs of what is to be set up, sorted.
        min_memory_bytes: of the device; 0: any.
        sensors: quantities that it must be able to sense, sorted.
    """

    device_id: str
    device_class: str
    labels: tuple[tuple[str, str], ...]
    runtime: str
    format: str
    delegate: str
    capabilities: tuple[str, ...]
    controls: tuple[tuple[str, str], ...] = ()
    min_memory_bytes: int = 0
    sensors: tuple[str, ...] = ()

    @classmethod
    def of(cls, spec: job_pb2.JobSpec) -> Demand:
        """What `spec` asks for."""
        measurement = spec.measurement
        # Energy and profile are no demands: where they cannot be had, the figure is absent with its reason. Who wants
        # no such figure names the sensor.
        parts = {
            "latency": measurement.HasField("latency"),
            "memory": measurement.HasField("memory"),
            "accuracy": measurement.HasField("accuracy"),
            "output_check": measurement.HasField("output_check"),
            "faults": measurement.HasField("fault_plan"),
            "comparison": measurement.HasField("comparison"),
            "multi_stream": measurement.HasField("multi_stream"),
            "offline": measurement.HasField("offline"),
            "processes": measurement.latency.processes > 1,
        }
        return cls(
            device_id=spec.device.device_id,
            device_class=spec.device.device_class,
            labels=tuple(sorted(spec.device.labels.items())),
            runtime=measurement.runtime.name,
            format=_FORMATS.get(measurement.model.media_type, measurement.model.media_type),
            delegate="" if measurement.runtime.delegate == "none" else measurement.runtime.delegate,
            capabilities=tuple(sorted(name for name, asked in parts.items() if asked)),
            controls=_controls(measurement.setup),
            min_memory_bytes=spec.device.min_memory_bytes,
            sensors=tuple(sorted(set(spec.device.sensors))),
        )

    @classmethod
    def parse(cls, signature: str) -> Demand:
        """The inverse of `signature`."""
        fields = json.loads(signature)
        fields["labels"] = tuple((key, value) for key, value in fields["labels"])
        fields["capabilities"] = tuple(fields["capabilities"])
        fields["controls"] = tuple((name, value) for name, value in fields.get("controls", ()))
        fields["sensors"] = tuple(fields.get("sensors", ()))
        return cls(**fields)

    @property
    def signature(self) -> str:
        """Canonical text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    def misfit(self, device: device_pb2.DeviceDescription) -> str | None:
        """Why `device` cannot serve this demand; None when it can."""
        if self.device_id and device.device_id != self.device_id:
            return f"is not {self.device_id}"
        if self.device_class and device.device_class != self.device_class:
            return f"is of class {device.device_class}"
        for key, value in self.labels:
            if device.labels.get(key) != value:
                return f"has no label {key}={value}"
        missing = [name for name in self.capabilities if name not in device.capabilities]
        if missing:
            return f"cannot measure {', '.join(_WORDS.get(name, name) for name in missing)}"
        if reason := self._unset(device) or self._unsensed(device):
            return reason
        memory_bytes = device.hardware.memory_bytes
        if memory_bytes < self.min_memory_bytes:
            asked = f"not the {self.min_memory_bytes / 1e9:.3g} GB asked for"
            return f"has {memory_bytes / 1e9:.3g} GB of memory, {asked}" if memory_bytes else "does not tell its memory"
        runtimes = [r for r in device.runtimes if self.format in r.formats]
        if not runtimes:
            return f"has no runtime for {self.format} models{_HINTS.get(self.format, '')}"
        named = [r for r in runtimes if self.runtime in ("", r.name)]
        if not named:
            return f"has no runtime {self.runtime} (it has {', '.join(r.name for r in runtimes)})"
        if self.delegate and not any(self.delegate in r.delegates for r in named):
            return f"offers no delegate {self.delegate}"
        return None

    def _unset(self, device: device_pb2.DeviceDescription) -> str | None:
        """Which part of the set-up the device does not offer, with its own reason."""
        offered = {control.name: control for control in device.controls}
        for name, value in self.controls:
            words = name.replace("_", " ")
            if name not in offered:
                return f"cannot set {words} (its agent is too old)"
            control = offered[name]
            if control.unavailable:
                return f"cannot set {words}: {control.unavailable}"
            if control.choices and value not in control.choices and not (name == "cores" and value[:1].isdigit()):
                return f"has no {words} {value} (it has {', '.join(control.choices)})"
        return None

    def _unsensed(self, device: device_pb2.DeviceDescription) -> str | None:
        """Which quantity the device cannot sense, with its own reason."""
        known = {sensor.quantity: sensor.unavailable for sensor in device.sensors}
        for quantity in self.sensors:
            if reason := known.get(quantity, "no sensor is known for it"):
                return f"cannot sense {quantity}: {reason}"
        return None

    def refusal(self, known: list[device_pb2.DeviceDescription]) -> str | None:
        """Why none of the `known` devices will ever serve this demand, with what exists; None when one can."""
        misfits = [(device, self.misfit(device)) for device in known]
        if any(reason is None for _, reason in misfits):
            return None
        if not known:
            return "no device has joined this lab yet\nstart one: gauntlet-agent run --orchestrator ADDRESS"
        listing = "; ".join(f"{d.device_id} (class {d.device_class}) {reason}" for d, reason in misfits[:8])
        more = f"; and {len(misfits) - 8} more" if len(misfits) > 8 else ""
        # Asked for where nothing is said, and not to be had of a phone.
        hint = "; peak memory is left out by `--no-memory`" if "cannot measure memory" in listing else ""
        return f"no device fits: {listing}{more}\nsee `gauntlet devices` for what exists{hint}"


def _controls(setup: setup_pb2.DeviceSetup) -> tuple[tuple[str, str], ...]:
    limits = f"{setup.min_frequency_hz:g}-{setup.max_frequency_hz:g}"
    asked = {
        "governor": setup.governor,
        "clock_limits": limits if limits != "0-0" else "",
        "power_mode": setup.power_mode,
        "jetson_clocks": "on" if setup.jetson_clocks else "",
        "cores": setup.cores,
    }
    return tuple(sorted((name, value) for name, value in asked.items() if value))
