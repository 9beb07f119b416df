"""What a phone is, as a device: its id and class, its hardware, what it senses. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import Dict, List, Mapping

from device_agent.bridge.snapshot import Snapshot
from device_agent.measure.meters.base import Meter
from protos import contract, figures
from protos.gauntlet.v1 import device_pb2, measurement_pb2

_LONGEST = 64
#: Extensions that matter to inference; those that Arm's cores of phones have.
_FEATURES = ("asimd", "asimdhp", "fphp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme")
#: Of `getprop`, by the name under which clients see them.
_FACTS = {
    "android": "ro.build.version.release",
    "api_level": "ro.build.version.sdk",
    "build": "ro.build.fingerprint",
    "soc": "ro.soc.model",
}


def class_of(model: str) -> str:
    """What jobs ask for: "Pixel 8 Pro" is "pixel8-pro", "SM-S911B" is "sm-s911b".

    Args:
        model: as the phone tells it; empty: "android".
    """
    words = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    # A number belongs to the name before it.
    return re.sub(r"(?<=[a-z])-(?=\d)", "", words)[:_LONGEST].rstrip("-") or "android"


def id_of(serial: str, model: str) -> str:
    """Its id: class and serial number, so that a person finds the phone by it. No two serials have the same.

    Args:
        serial: as adb shows it.
        model: as the phone tells it.
    """
    name = f"{class_of(model)}-{re.sub('[^A-Za-z0-9._-]', '-', serial)}"
    if name.endswith(f"-{serial}") and len(name) <= _LONGEST:
        return name
    # A part of the serial is not in the name: its digest is.
    digest = hashlib.sha256(serial.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST - len(digest) - 1]}-{digest}"


def hardware(snapshot: Snapshot, properties: Mapping[str, str]) -> device_pb2.Hardware:
    """What it is made of.

    Args:
        snapshot: its files, and "uname".
        properties: of `getprop`.
    """
    release, level = properties.get("ro.build.version.release", ""), properties.get("ro.build.version.sdk", "")
    machine, _, kernel = _said(snapshot, "uname").partition(" ")
    cores = {path for path in snapshot.glob("sys/devices/system/cpu/cpu*") if path.rpartition("cpu")[2].isdigit()}
    facts = {name: properties[key] for name, key in _FACTS.items() if properties.get(key)}
    return device_pb2.Hardware(
        board=_joined(properties.get("ro.product.manufacturer", ""), properties.get("ro.product.model", "")),
        cpu_model=_joined(properties.get("ro.soc.manufacturer", ""), properties.get("ro.soc.model", ""))
        or properties.get("ro.hardware", ""),
        architecture=machine,
        physical_cores=len(cores),
        logical_cores=len(cores),
        memory_bytes=_memory_bytes(_said(snapshot, "proc/meminfo")),
        operating_system=f"Android {release} (API {level})" if release and level else "Android",
        kernel=kernel,
        cpu_features=_features(_said(snapshot, "proc/cpuinfo")),
        facts=facts,
    )


def sensors(meter: Meter, state: measurement_pb2.HostState, battery: bool) -> List[device_pb2.Sensor]:
    """What it senses, and why it does not sense the rest.

    Args:
        meter: the best of its meters of energy.
        state: as just read.
        battery: does it tell how full its battery is?
    """
    found = [device_pb2.Sensor(quantity="energy_j", source=meter.facts.source, unavailable=meter.unavailable)]
    for quantity, figure, source in (
        ("temperature_c", state.temperature_c, "dumpsys thermalservice or /sys/class/thermal"),
        ("frequency_hz", state.frequency_hz, "/sys/devices/system/cpu/cpu*/cpufreq"),
    ):
        known = figures.value_of(figure) is not None
        sensor = device_pb2.Sensor(quantity=quantity, source=source if known else "", unavailable=figure.unavailable)
        found.append(sensor)
    reason = "" if battery else "dumpsys battery tells no level"
    source = "dumpsys battery" if battery else ""
    found.append(device_pb2.Sensor(quantity="battery_ratio", source=source, unavailable=reason))
    return found


def check_names(names: Mapping[str, str]) -> Dict[str, str]:
    """Names that a person gave to phones, by serial or port.

    Raises:
        ValueError: one is no id, or two are the same; a second line says what to do.
    """
    for key, name in names.items():
        if not contract.is_id(name):
            raise ValueError(f"{name!r} is no name for phone {key}\nuse 1-64 letters, digits, '.', '_' or '-'")
        if list(names.values()).count(name) > 1:
            raise ValueError(f"two phones cannot both be {name}\ngive each a name of its own")
    return dict(names)


def _said(snapshot: Snapshot, name: str) -> str:
    try:
        return snapshot.read(name)
    except OSError:
        return ""


def _joined(maker: str, model: str) -> str:
    """Maker and model; many a model begins with its maker."""
    return model if model.lower().startswith(maker.lower()) else f"{maker} {model}".strip()


def _memory_bytes(meminfo: str) -> int:
    match = re.search(r"^MemTotal:\s*(\d+) kB", meminfo, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def _features(cpuinfo: str) -> List[str]:
    match = re.search(r"^Features\s*:(.*)$", cpuinfo, re.MULTILINE)
    words = set(match[1].split()) if match else set()
    return [name for name in _FEATURES if name in words]
