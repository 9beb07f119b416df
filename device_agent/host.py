"""What this machine is: hardware, runtimes, sensors, and so what jobs it takes."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Tuple

import psutil

from device_agent import runtimes
from device_agent.classes.devicetree import read_device_tree
from device_agent.classes.facts import arm_cores, facts
from device_agent.classes.gpu import find_gpu
from device_agent.classes.names import class_of
from device_agent.hoststate import NO_CPUFREQ, NO_THERMOMETER, NO_THROTTLING, HostReader
from device_agent.measure.meters import choose_meter, find_meter, survey_machine
from protos import figures
from protos.gauntlet.v1 import device_pb2

_ROOT = Path("/")
#: Extensions that matter to inference, as /proc/cpuinfo calls them (x86 "flags", Arm "Features").
_FEATURES = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_int8", "amx_bf16", "neon", "asimd", "asimdhp", "fphp", "asimddp", "i8mm", "bf16", "sve", "sve2",
    "sme",
)  # fmt: skip
#: What makers leave in the name of a product.
_NO_PRODUCT = ("", "To Be Filled By O.E.M.", "System Product Name", "Default string", "Not Specified")
_GAUNTLET_PROGRAMS = {"gauntlet", "gauntlet-agent"}
_GAUNTLET_MODULES = ("gauntlet", "device_agent", "orchestrator")
_NEIGHBOURS_KEPT_S = 30.0
MEASURE_OUTSIDE = "run the agent on the machine itself, or let the container see /sys"


def describe_device(
    device_id: str, labels: Mapping[str, str], device_class: str = "", allow_pt2: bool = False
) -> device_pb2.DeviceDescription:
    """This machine as a device.

    Args:
        device_id: stable over restarts.
        labels: of the operator's choice.
        device_class: what jobs ask for; empty: named after the board or the architecture.
        allow_pt2: take exported programs of torch, which can run code where they are loaded.
    """
    found = hardware()
    meters = survey_machine()
    capabilities = ["latency", "memory", "accuracy", "output_check", "faults", "profile", "comparison", "processes"]
    capabilities += ["multi_stream", "offline"]
    if not all(choose_meter(meters, accelerator).unavailable for accelerator in (False, True)):
        capabilities.append("energy")
    return device_pb2.DeviceDescription(
        device_id=device_id,
        device_class=device_class or class_of(read_device_tree(), found.architecture),
        labels=dict(labels),
        hardware=found,
        runtimes=[
            device_pb2.Runtime(name=r.name, version=r.version, delegates=r.delegates, formats=r.formats)
            for r in runtimes.discover(allow_pt2)
        ],
        sensors=sensors(),
        capabilities=capabilities,
    )


def hardware(root: Path = _ROOT) -> device_pb2.Hardware:
    """What the machine is made of.

    Args:
        root: of the file system, or of a made-up one; cores and memory are always this machine's.
    """
    tree = read_device_tree(root)
    model, features = _processor(root)
    return device_pb2.Hardware(
        board=tree.model or _product(root),
        cpu_model=model,
        architecture=platform.machine(),
        physical_cores=psutil.cpu_count(logical=False) or 0,
        logical_cores=psutil.cpu_count() or 0,
        memory_bytes=psutil.virtual_memory().total,
        operating_system=_operating_system(root),
        kernel=platform.release(),
        cpu_features=features,
        virtualization=virtualization(root),
        facts=facts(tree, root),
    )


def virtualization(root: Path = _ROOT) -> str:
    """Says "container", "virtual machine", or nothing on bare metal."""
    if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
        return "container"
    if re.search(r"/(docker|lxc|kubepods|containerd|machine\.slice)", _read(root / "proc/1/cgroup")):
        return "container"
    # The first process of a systemd-nspawn or LXC container is told so.
    if "container=" in _read(root / "proc/1/environ").replace("\0", "\n"):
        return "container"
    flags = _read(root / "proc/cpuinfo")
    if re.search(r"^flags\s*:.*\bhypervisor\b", flags, re.MULTILINE) or (root / "sys/hypervisor/type").exists():
        return "virtual machine"
    return ""


def sensors(root: Path = _ROOT) -> List[device_pb2.Sensor]:
    """What can be sensed here and where, and why the rest cannot.

    Args:
        root: of the file system, or of a made-up one.
    """
    meter = find_meter(root)
    reader = HostReader(root)
    thermometer, clock, throttling = reader.thermometer(), reader.frequency_hz(), reader.throttling_sources()
    gpu = find_gpu(root)
    where = f"; {MEASURE_OUTSIDE}" if virtualization(root) else ""
    return [
        device_pb2.Sensor(quantity="energy_j", source=meter.facts.source, unavailable=meter.unavailable),
        _sensor("temperature_c", thermometer.source if thermometer else "", NO_THERMOMETER + where),
        _sensor("frequency_hz", "cpufreq" if figures.value_of(clock) is not None else "", NO_CPUFREQ + where),
        _sensor("throttling", ", ".join(throttling), NO_THROTTLING + where),
        *([_sensor("gpu_frequency_hz", gpu.name, "")] if gpu is not None else []),
    ]


class Neighbours:
    """Are there other Gauntlet processes on this host? Looked up at most every half minute."""

    def __init__(self) -> None:
        self._known: Optional[bool] = None
        self._at_s = 0.0

    def any(self) -> bool:
        """True when an orchestrator, a command line or another agent runs here too."""
        if self._known is None or time.monotonic() - self._at_s > _NEIGHBOURS_KEPT_S:
            self._known = self._look()
            self._at_s = time.monotonic()
        return self._known

    @staticmethod
    def _look() -> bool:
        own = os.getpid()
        for process in psutil.process_iter(["pid", "ppid", "cmdline"]):
            facts = process.info
            if own not in (facts["pid"], facts["ppid"]) and _is_gauntlet(facts["cmdline"] or []):
                return True
        return False


def _is_gauntlet(arguments: List[str]) -> bool:
    # "gauntlet …", "python …/bin/gauntlet …" or "python -m orchestrator…".
    if any(Path(argument).name in _GAUNTLET_PROGRAMS for argument in arguments[:2]):
        return True
    module = arguments[arguments.index("-m") + 1 :][:1] if "-m" in arguments else []
    return bool(module) and module[0].split(".")[0] in _GAUNTLET_MODULES


def _sensor(quantity: str, source: str, why_not: str) -> device_pb2.Sensor:
    return device_pb2.Sensor(quantity=quantity, source=source, unavailable="" if source else why_not)


def _processor(root: Path) -> Tuple[str, List[str]]:
    fields: Dict[str, str] = {}
    told = _read(root / "proc/cpuinfo")
    for line in told.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    model = fields.get("model name") or arm_cores(told) or platform.processor()
    return model, [name for name in _FEATURES if name in flags]


def _product(root: Path) -> str:
    """The machine's name by its firmware (DMI)."""
    product = _read(root / "sys/class/dmi/id/product_name").strip()
    return "" if product in _NO_PRODUCT else product


def _operating_system(root: Path) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)"?$', _read(root / "etc/os-release"), re.MULTILINE)
    return match.group(1) if match else platform.system()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
