"""`gauntlet-agent doctor`: what this machine can measure, what it cannot, and how to mend that."""

from __future__ import annotations

import os
import textwrap
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import numpy as np

from device_agent import host, runtimes
from device_agent.classes.devicetree import read_device_tree
from device_agent.classes.gpu import find_gpu
from device_agent.classes.names import class_of
from device_agent.classes.raspberry import FLAGS
from device_agent.errors import MeasurementError
from device_agent.fitness import history
from device_agent.hostlock import HostLock, lock_path
from device_agent.hoststate import NO_THROTTLING, CpuTimes, HostReader
from device_agent.measure import statistics
from device_agent.measure.memory import ResidentMemory
from device_agent.measure.meters import Meter, choose_meter, survey_machine
from device_agent.runtimes.accelerators import GPU_DELEGATES, has_nvidia_gpu
from device_agent.tuning.jetson import NVPMODEL, Jetson
from device_agent.tuning.system import run_command
from device_agent.tuning.tuner import controls
from protos import figures
from protos.contract import software_version
from protos.gauntlet.v1 import device_pb2, fitness_pb2

OK, NOTE, ABSENT = "ok", "note", "absent"

_WIDTH = 80
_LABEL_WIDTH = 14
_LOOK_S = 0.3
_BUSY_CORES = 0.2
_NOISE_SAMPLES = 400
_STEADY = 0.02
#: Goes before a command.
AS_ROOT = "as root: "
_QUIET_GOVERNORS = {"performance"}
#: What the boards' own power supplies give (Raspberry Pi documentation, "Power supply").
LOW_VOLTAGE = "a power supply that holds 5.1 V (Raspberry Pi 5: 5 A, Pi 4: 3 A), a short cable, less on its USB"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        topic: what was looked at, for example "energy".
        status: "ok", "note" (measures, but less well than it might) or "absent" (cannot measure).
        text: what was found.
        remedy: how to mend it; may be empty.
    """

    topic: str
    status: str
    text: str
    remedy: str = ""

    def to_dict(self) -> Dict[str, str]:
        """For JSON."""
        return asdict(self)


def report(root: Path = Path("/"), state: Optional[Path] = None) -> List[Finding]:
    """Look at everything; takes about half a second.

    Args:
        root: of the file system, or of a made-up one.
        state: folder of the agent that runs or ran here; None: there is none.
    """
    hardware = host.hardware(root)
    reader = HostReader(root)
    before = reader.cpu_times()
    time.sleep(_LOOK_S)
    return [
        _machine(hardware),
        _class(hardware, root),
        _runtimes(),
        *_graphics(root),
        _memory(),
        _pinning(),
        _clock(reader),
        _temperature(reader),
        _throttling(reader),
        *_energy(root),
        _setup(root),
        *_power_mode(hardware, root),
        _virtualization(hardware.virtualization),
        _load(reader, before),
        _noise(),
        _fitness(state),
        _lock(),
    ]


def render(findings: Sequence[Finding]) -> str:
    """The report as text, 80 columns wide."""
    lines = [f"gauntlet-agent {software_version()} on this machine", ""]
    for finding in findings:
        mark = {OK: "ok    ", NOTE: "note  ", ABSENT: "absent"}[finding.status]
        head = f"  {mark}  {finding.topic:<{_LABEL_WIDTH}}"
        lines += _wrapped(head, finding.text)
        if finding.remedy:
            lines += _remedy(" " * len(head) + "→ ", finding.remedy)
    absent = [finding.topic for finding in findings if finding.status == ABSENT]
    lines += ["", f"Cannot be measured here: {', '.join(absent)}." if absent else "Everything can be measured here."]
    return "\n".join(lines)


def _remedy(head: str, text: str) -> List[str]:
    """Commands that are to be copied stand in one line, however long it is."""
    before, as_root, command = text.partition(AS_ROOT)
    if not as_root or "&&" not in command:
        return _wrapped(head, text)
    return [*_wrapped(head, f"{before}{AS_ROOT.strip()}"), f"    {command}"]


def _wrapped(head: str, text: str) -> List[str]:
    # A command to copy must not be broken in the middle of a word.
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _machine(hardware: device_pb2.Hardware) -> Finding:
    cores = f"{hardware.physical_cores or hardware.logical_cores} cores ({hardware.logical_cores} hardware threads)"
    memory = f"{hardware.memory_bytes / 1024**3:.1f} GiB"
    parts = [hardware.board, hardware.cpu_model or hardware.architecture, cores, memory, hardware.operating_system]
    features = f"; {' '.join(hardware.cpu_features)}" if hardware.cpu_features else ""
    return Finding("machine", OK, ", ".join(part for part in parts if part) + features)


def _class(hardware: device_pb2.Hardware, root: Path) -> Finding:
    """What jobs ask for, and what else the board tells of itself."""
    facts = [f"{name.replace('_', ' ')} {text}" for name, text in sorted(hardware.facts.items())]
    return Finding("class", OK, "; ".join([class_of(read_device_tree(root), hardware.architecture), *facts]))


def _graphics(root: Path) -> List[Finding]:
    """Nothing where there is no graphics processor that a runtime here could use."""
    if not has_nvidia_gpu(root):
        return []
    gpu = find_gpu(root)
    name = f"NVIDIA {gpu.name}" if gpu is not None else "NVIDIA"
    found = {delegate: runtime.name for runtime in runtimes.discover() for delegate in runtime.delegates}
    offered = [f"{delegate} by {found[delegate]}" for delegate in GPU_DELEGATES if delegate in found]
    if offered:
        return [Finding("graphics", OK, f"{name}: {', '.join(offered)}")]
    remedy = "install an onnxruntime with CUDA, on a Jetson the one that NVIDIA built for its JetPack"
    return [Finding("graphics", NOTE, f"{name}, which no installed runtime uses", remedy)]


def _runtimes() -> Finding:
    found = runtimes.discover()
    if not found:
        return Finding(
            "runtimes",
            ABSENT,
            "no model runtime is installed",
            "pip install ai-edge-litert (32-bit Arm: tflite-runtime)",
        )
    texts, remedies = [], []
    for runtime in found:
        takes = ", ".join(f".{name}" for name in runtime.formats)
        try:
            runtime.preload()
            texts.append(f"{runtime.name} {runtime.version} ({', '.join(runtime.delegates)}) for {takes}")
        except MeasurementError as error:
            texts.append(error.message)
            remedies.append(error.remedy)
    status = OK if not remedies else NOTE if len(remedies) < len(found) else ABSENT
    return Finding("runtimes", status, "; ".join(texts), "; ".join(remedies))


def _memory() -> Finding:
    memory = ResidentMemory()
    if memory.peak_bytes() is None:
        return Finding("peak memory", ABSENT, "no VmHWM in /proc/self/status", "needs Linux with /proc mounted")
    if not memory.reset_peak():
        return Finding(
            "peak memory", NOTE, "measured; the peak cannot be reset (/proc/self/clear_refs), so it includes the start"
        )
    return Finding("peak memory", OK, "measured in a fresh process")


def _pinning() -> Finding:
    if not hasattr(os, "sched_getaffinity"):
        return Finding("pinning", ABSENT, "this system does not hold processes to cores")
    allowed = len(os.sched_getaffinity(0))
    if allowed < 2:
        return Finding(
            "pinning",
            NOTE,
            "this process may use one core only: the agent and the measurement share it",
            "give it a second core (cpuset, docker --cpuset-cpus, systemd AllowedCPUs=)",
        )
    return Finding("pinning", OK, f"threads can be held to any of {allowed} cores")


def _clock(reader: HostReader) -> Finding:
    governor = reader.governor()
    frequency = figures.value_of(reader.frequency_hz())
    if frequency is None:
        return Finding(
            "clock", ABSENT, "no cpufreq: neither frequency nor governor can be read", _where_it_runs("clock")
        )
    text = f"{frequency / 1e9:.2f} GHz, governor {governor}"
    if governor in _QUIET_GOVERNORS:
        return Finding("clock", OK, text)
    return Finding(
        "clock",
        NOTE,
        f"{text}: latencies vary with the clock",
        "as root: cpupower frequency-set -g performance (or write it to each "
        "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor)",
    )


def _temperature(reader: HostReader) -> Finding:
    figure = reader.temperature_c()
    value = figures.value_of(figure)
    if value is None:
        return Finding("temperature", ABSENT, figure.unavailable, _where_it_runs("temperature"))
    return Finding("temperature", OK, f"{value:.1f} °C")


def _throttling(reader: HostReader) -> Finding:
    held_back = reader.throttling()
    if held_back:
        low = any(FLAGS[0] in text for text in held_back)
        remedy = LOW_VOLTAGE if low else "cpupower frequency-set -u MAX as root, or better cooling and power supply"
        return Finding("throttling", NOTE, f"held back now: {'; '.join(held_back)}", remedy)
    sources = reader.throttling_sources()
    if not sources:
        return Finding("throttling", ABSENT, NO_THROTTLING)
    return Finding("throttling", OK, f"watched while measuring: {', '.join(sources)}")


def _energy(root: Path) -> List[Finding]:
    """The meter that is used, and all others: those that could be, and why the rest cannot."""
    meters = survey_machine(root)
    chosen = choose_meter(meters)
    if chosen.unavailable:
        reason, _, remedy = chosen.unavailable.partition("; ")
        first = Finding("energy", ABSENT, reason, remedy)
    else:
        first = Finding("energy", OK, _described(chosen))
    others = [meter for meter in meters if meter is not chosen]
    found = [_described(meter) for meter in others if not meter.unavailable]
    missing = [meter.unavailable for meter in others if meter.unavailable and meter.unavailable != chosen.unavailable]
    lines = [f"found, too: {text}" for text in found] + missing
    return [first, *([Finding("other meters", NOTE, "; ".join(lines))] if lines else [])]


def _described(meter: Meter) -> str:
    apart = f", beside it {', '.join(meter.facts.apart)}" if meter.facts.apart else ""
    return f"{meter.facts.source}{apart}: {meter.facts.remark}"


def _setup(root: Path) -> Finding:
    """What jobs could set here if the agent's owner permits it."""
    found = controls(True, root)
    able = [control.name.replace("_", " ") for control in found if not control.unavailable]
    refused = [control for control in found if control.unavailable]
    text = f"jobs may ask for {', '.join(able)}" if able else "jobs can set nothing here"
    governor = next((control for control in refused if control.name == "governor"), None)
    if governor is not None:
        reason, _, remedy = governor.unavailable.partition("; ")
        return Finding("set-up", NOTE, f"{text}; no governor: {reason}", remedy)
    return Finding("set-up", OK, f"{text}, once the agent is started with --allow-setup")


def _power_mode(hardware: device_pb2.Hardware, root: Path) -> List[Finding]:
    """Of a Jetson; its clocks, and so all latencies, depend on it."""
    mode = hardware.facts.get("power_mode", "")
    jetson = Jetson(root, run_command, Path())
    modes = jetson.modes()
    if not mode and not modes:
        return []
    text = (
        f"{mode or 'not told'} of {', '.join(f'{name} ({number})' for name, number in modes.items()) or 'unknown ones'}"
    )
    refusal = jetson.refusal(NVPMODEL)
    if refusal is None:
        return [Finding("power mode", OK, text)]
    by_hand = "by hand: sudo nvpmodel -m NUMBER && sudo jetson_clocks"
    remedy = "; ".join(part for part in (refusal.remedy, by_hand) if part)
    return [Finding("power mode", NOTE, f"{text}; jobs cannot set it: {refusal.message}", remedy)]


def _virtualization(kind: str) -> Finding:
    if kind:
        return Finding(
            "bare metal",
            NOTE,
            f"this is a {kind}: neighbours on the same hardware cannot be seen from here",
            "measure on the host itself where figures must be comparable",
        )
    return Finding("bare metal", OK, "yes")


def _load(reader: HostReader, before: Optional[CpuTimes]) -> Finding:
    cores = figures.value_of(reader.background_cores(before))
    average = figures.value_of(reader.load_average())
    if cores is None:
        return Finding("load now", ABSENT, "no /proc/stat: what other processes use cannot be seen")
    text = f"other processes use {cores:.1f} cores" + (f", load average {average:.2f}" if average is not None else "")
    if cores >= _BUSY_CORES:
        return Finding(
            "load now", NOTE, text, "end them before you measure: a busy neighbour multiplies the 99th percentile"
        )
    return Finding("load now", OK, text)


def _noise() -> Finding:
    """Time a fixed piece of work: how far do its percentiles lie apart?"""
    random = np.random.default_rng(0)
    matrix = random.random((96, 96), dtype=np.float32)
    taken = []
    for _ in range(_NOISE_SAMPLES):
        begin = time.perf_counter_ns()
        matrix @ matrix
        taken.append(time.perf_counter_ns() - begin)
    ordered = np.sort(np.array(taken[_NOISE_SAMPLES // 4 :], dtype=np.float64))
    middle = statistics.median(ordered)
    spread = statistics.median_absolute_deviation(ordered) / middle
    text = (
        f"a fixed computation varies by {100 * spread:.1f} % (median absolute deviation), "
        f"its 95th percentile is {statistics.percentile(ordered, 0.95) / middle:.2f} of the median"
    )
    return Finding("noise", OK if spread <= _STEADY else NOTE, text)


def _fitness(state: Optional[Path]) -> Finding:
    """What the agent's last check of this device found."""
    try:
        known = history.read(state / history.FILE) if state is not None else None
    except FileNotFoundError:
        known = None
    except (OSError, ValueError) as error:
        return Finding("fitness", NOTE, f"what the agent knows of it cannot be read: {error}")
    if known is None or known.last is None:
        return Finding("fitness", NOTE, "never checked: an agent does that when it starts")
    floor = f"; noise floor {100 * known.floor.share:.2g} %" if known.floor else "; noise floor not measured yet"
    good = known.last.verdict in (fitness_pb2.FITNESS_VERDICT_GOOD, fitness_pb2.FITNESS_VERDICT_BASELINE)
    at = known.last.checked_at[:16].replace("T", " ")
    return Finding("fitness", OK if good else NOTE, f"{at} UTC: {known.last.reason}{floor}")


def _lock() -> Finding:
    lock = HostLock()
    try:
        free = lock.try_acquire()
    except OSError as error:
        return Finding(
            "host lock",
            ABSENT,
            f"{lock_path()}: {error.strerror}",
            "make it readable, or set GAUNTLET_HOST_LOCK to one path for all agents of this host",
        )
    if not free:
        holder = lock.holder()
        return Finding(
            "host lock", NOTE, f"held by process {holder}" if holder else "held", "a measurement runs just now"
        )
    lock.release()
    return Finding("host lock", OK, f"free ({lock_path()})")


def _where_it_runs(what: str) -> str:
    return f"{host.MEASURE_OUTSIDE}, to have the {what}"
