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
from device_agent.hoststate import HostReader
from device_agent.measure.meters import choose_meter, find_meter, survey_machine
from protos import figures
from protos.gauntlet.v1 import device_pb2, figure_pb2

_ROOT = Path("/")
#: Extensions that matter to inference, as /proc/cpuinfo calls them (x86 "flags", Arm "Features").
_FEATURES = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_int8", "amx_bf16", "neon", "asimd", "asimdhp", "fphp", "asimddp", "i8mm", "bf16", "sve", "sve2",
    "sme",
)  # fmt: skip
_BOARD_FILES = ("proc/device-tree/model", "sys/firmware/devicetree/base/model")
_RASPBERRY = re.compile(r"Raspberry Pi (?:Compute Module )?(Zero 2|\d)", re.I)
_JETSON = re.compile(r"Jetson (?:AGX )?(Orin Nano|Orin NX|Orin|Xavier NX|Xavier|Nano|TX1|TX2|Thor)", re.I)
_GAUNTLET_PROGRAMS = {"gauntlet", "gauntlet-agent"}
_GAUNTLET_MODULES = ("gauntlet", "device_agent", "orchestrator")
_NEIGHBOURS_KEPT_S = 30.0


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
        device_class=device_class or default_device_class(found.board, found.architecture),
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
    model, features = _processor(root)
    return device_pb2.Hardware(
        board=_board(root),
        cpu_model=model,
        architecture=platform.machine(),
        physical_cores=psutil.cpu_count(logical=False) or 0,
        logical_cores=psutil.cpu_count() or 0,
        memory_bytes=psutil.virtual_memory().total,
        operating_system=_operating_system(root),
        kernel=platform.release(),
        cpu_features=features,
        virtualization=virtualization(root),
    )


def default_device_class(board: str, architecture: str) -> str:
    """What jobs may ask for: "raspberrypi4", "jetson-orin-nano", else the architecture, "x86_64".

    Args:
        board: as the device tree names it, or empty.
        architecture: as `uname -m` says it.
    """
    raspberry, jetson = _RASPBERRY.search(board), _JETSON.search(board)
    if raspberry:
        return "raspberrypi" + raspberry.group(1).lower().replace(" ", "")
    if jetson:
        return "jetson-" + jetson.group(1).lower().replace(" ", "-")
    return architecture or "unknown"


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
    """What can be sensed here, and why the rest cannot."""
    meter = find_meter(root)
    reader = HostReader(root)
    return [
        device_pb2.Sensor(quantity="energy_j", source=meter.facts.source, unavailable=meter.unavailable),
        _sensor("temperature_c", "/sys/class/thermal", reader.temperature_c()),
        _sensor("frequency_hz", "/sys/devices/system/cpu/cpu*/cpufreq", reader.frequency_hz()),
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


def _sensor(quantity: str, source: str, figure: figure_pb2.Figure) -> device_pb2.Sensor:
    if figures.value_of(figure) is None:
        return device_pb2.Sensor(quantity=quantity, unavailable=figure.unavailable)
    return device_pb2.Sensor(quantity=quantity, source=source)


def _processor(root: Path) -> Tuple[str, List[str]]:
    fields: Dict[str, str] = {}
    for line in _read(root / "proc/cpuinfo").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return fields.get("model name") or platform.processor(), [name for name in _FEATURES if name in flags]


def _board(root: Path) -> str:
    for name in _BOARD_FILES:
        text = _read(root / name).strip("\0\n ")
        if text:
            return text
    product = _read(root / "sys/class/dmi/id/product_name").strip()
    return "" if product in ("", "To Be Filled By O.E.M.", "System Product Name") else product


def _operating_system(root: Path) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)"?$', _read(root / "etc/os-release"), re.MULTILINE)
    return match.group(1) if match else platform.system()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
