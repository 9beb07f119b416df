"""What does watching cost? Latency, and inferences in the energy window, with sensors that are read and without.

Run: ``python -m benchmarks.sampling [--quick]``

    block 1        block 2                         in one process, pinned, gc off, under the host's lock
    W  O  O  W     O  W  W  O    …                 W: watched, O: not
    └ a drift of the machine falls on both alike ┘   ratio of a block: √(W·W / O·O)

*Latency*: segments of the agent's own `steady_state`. Watched, a `Recorder` samples heat, clocks, throttling, resident
memory and the meter's power where the agent has it sample: at the looks. Its value is the median call.

*Energy window*: the agent's own `measure_energy`, with its idle windows cut short. Watched, it reads a meter and the
recorder samples between batches; not watched, the meter is one that does nothing. Its value is seconds an inference,
window over inferences. A *counter* (RAPL) is read at the end of each batch; a *sensor of power* (hwmon, 20 Hz; Jetson,
10 Hz) by a thread during the whole window, which gets the interpreter's lock between inferences.

The files are a made-up tree of a board on disk (six thermal zones, two clocks, throttle counts, a counter with three
zones, power sensors), so that the figures do not depend on what this machine shows. What a real sensor's files cost
beyond that is not covered: one on a bus takes a millisecond or so, in which the thread waits and an inference goes on.
20 blocks; the interval is by bootstrap over them. Target: at most 1 %.

Where others work on the remaining cores, the reading thread is put off while it is owed the interpreter's lock, and the
inferences wait with it: such a run says little about a device that is left alone. See the load average.

Needs the real models: `$GAUNTLET_DATA`, or `shared/data` beside the checkout; skipped without them.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks import _stats
from benchmarks._lab import real_models
from benchmarks._report import Report, Row, Table, main
from device_agent.cores import Pinning
from device_agent.hostlock import HostLock
from device_agent.hoststate import HostReader
from device_agent.measure.conditions import Recorder, probes_of
from device_agent.measure.energy import measure_energy
from device_agent.measure.latency import steady_state, warm_up
from device_agent.measure.memory import ResidentMemory
from device_agent.measure.meters import BOARD, Facts, LocalFiles, Look, Meter, Reading
from device_agent.measure.meters.hwmon import find_hwmon
from device_agent.measure.meters.jetson import find_jetson
from device_agent.measure.meters.rapl import find_rapl
from device_agent.measure.tensors import fill_inputs
from device_agent.runtimes import LoadedModel, discover
from orchestrator.client.specs import latency_spec
from protos.figures import value_of
from protos.gauntlet.v1 import measurement_pb2 as pb

MODELS = ("vww_96_int8", "kws_ref_model_float32")
MOST = 0.01
_CPU = "sys/devices/system/cpu/cpu{}"
_RAPL = "sys/class/powercap/intel-rapl:{}"
_INA = "sys/bus/i2c/devices/1-0040/hwmon/hwmon3"
#: Watching a segment that it makes, or not.
Segment = Callable[[bool], float]


def board(root: Path) -> None:
    """Write the files of a board that shows everything."""
    files = {f"sys/class/thermal/thermal_zone{n}/type": f"zone{n}" for n in range(6)}
    files |= {f"sys/class/thermal/thermal_zone{n}/temp": f"{45000 + n}" for n in range(6)}
    files |= {"sys/class/thermal/cooling_device0/type": "Processor", "sys/class/thermal/cooling_device0/cur_state": "0"}
    for core in range(2):
        files[f"{_CPU.format(core)}/cpufreq/scaling_cur_freq"] = "3000000"
        files[f"{_CPU.format(core)}/thermal_throttle/core_throttle_count"] = "0"
        files[f"{_CPU.format(core)}/thermal_throttle/package_throttle_count"] = "0"
    for zone, name in (("0", "package-0"), ("0:0", "core"), ("0:1", "dram")):
        folder = _RAPL.format(zone)
        files |= {f"{folder}/name": name, f"{folder}/energy_uj": "1000000"}
        files[f"{folder}/max_energy_range_uj"] = "262143328850"
    files |= {"sys/class/hwmon/hwmon0/name": "power_meter", "sys/class/hwmon/hwmon0/power1_average": "4000000"}
    files[f"{_INA}/name"] = "ina3221"
    for channel, label in ((1, "VDD_IN"), (2, "VDD_CPU_GPU_CV"), (3, "VDD_SOC")):
        files |= {f"{_INA}/in{channel}_label": label, f"{_INA}/in{channel}_enable": "1"}
        files |= {f"{_INA}/in{channel}_input": "5000", f"{_INA}/curr{channel}_input": "1400"}
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")


class Deaf:
    """A meter that reads nothing: what it costs is what the protocol costs without one."""

    unavailable = ""

    def __init__(self, facts: Facts) -> None:
        # Windows and batches are as long as with the meter that it stands in for.
        self.facts = Facts("nothing", BOARD, ("nothing",), update_s=facts.update_s)
        self._began_s = 0.0

    def start(self) -> None:
        """See `Meter`."""
        self._began_s = time.monotonic()

    def look(self) -> Look:
        """See `Meter`."""
        return Look(1.0, time.monotonic() - self._began_s)

    def stop(self) -> Reading:
        """See `Meter`."""
        return Reading(1.0, time.monotonic() - self._began_s, 0.0, {"nothing": 1.0})

    def power_w(self) -> float | None:
        """See `Meter`."""
        return None


class Bench:
    """A warmed-up model, and the ways to watch it.

    Args:
        model: to run.
        root: of the board's files.
        seconds: of a segment.
    """

    def __init__(self, model: LoadedModel, root: Path, seconds: float) -> None:
        self._invoke = model.invoke
        self._reader = HostReader(root)
        self._spec = latency_spec(min_s=seconds, max_s=seconds, half_width=1e-9)
        self._window = pb.EnergySpec(window_s=seconds)
        self._call_s = warm_up(model.invoke, self._spec).call_s

    @contextmanager
    def _recorder(self, meter: Meter) -> Iterator[Recorder]:
        with Recorder(self._reader.probes() + probes_of(ResidentMemory(), meter)) as recorder, recorder.quiet():
            yield recorder

    def latency(self, meter: Meter) -> Segment:
        """Median call in seconds."""

        def segment(watched: bool) -> float:
            with self._recorder(meter) if watched else nullcontext() as recorder:
                rest = {"rest": recorder.rest} if recorder else {}
                timing = steady_state(self._invoke, self._spec, self._call_s, **rest)
            return _stats.median(timing.samples.tolist())

        return segment

    def energy(self, meter: Meter) -> Segment:
        """Seconds an inference in the energy window."""
        deaf = Deaf(meter.facts)

        def segment(watched: bool) -> float:
            with self._recorder(meter) if watched else nullcontext() as recorder:
                rest = {"rest": recorder.rest} if recorder else {}
                used: Meter = meter if watched else deaf
                result = measure_energy(self._invoke, self._window, used, sleep=lambda seconds: None, **rest)
            assert value_of(result.energy_j) is not None, result.energy_j.unavailable
            return result.window_s / result.runs

        return segment


def blocks(segment: Segment, count: int) -> list[float]:
    """Watched over not watched, block by block."""
    ratios = []
    for number in range(count):
        order = (True, False, False, True) if number % 2 == 0 else (False, True, True, False)
        product = {True: 1.0, False: 1.0}
        for watched in order:
            product[watched] *= segment(watched)
        ratios.append((product[True] / product[False]) ** 0.5)
    return ratios


def row(model: str, what: str, ratios: list[float]) -> Row:
    """The line of the table."""
    low, high = _stats.median_interval(ratios)
    return {
        "model": model,
        "watched": what,
        "blocks": len(ratios),
        "with / without": _stats.median(ratios),
        "95 % interval": (low, high),
        "at most 1 %": high <= 1 + MOST,
    }


def run(quick: bool) -> Report:
    folder = real_models()
    if folder is None:
        return Report(skipped="no real models; set GAUNTLET_DATA")
    count, seconds = (2, 0.2) if quick else (20, 1.2)
    latencies, windows = [], []
    lock = HostLock()
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as temporary:
        root = Path(temporary)
        board(root)
        files = LocalFiles(root)
        counter, sensor, rails = find_rapl(files), find_hwmon(files)[0], find_jetson(files)
        for name in MODELS[:1] if quick else MODELS:
            model = discover()[0].load(folder / f"{name}.tflite", 1, "")
            fill_inputs(model)
            pinning = Pinning(1, wanted=True)
            lock.acquire()
            gc.disable()
            try:
                bench = Bench(model, root, seconds)
                latencies.append(row(name, "conditions and counter", blocks(bench.latency(counter), count)))
                for what, meter in (("counter", counter), ("sensor, 20 Hz", sensor), ("3 rails, 10 Hz", rails)):
                    windows.append(row(name, f"conditions and {what}", blocks(bench.energy(meter), count)))
            finally:
                gc.enable()
                lock.release()
                pinning.release()
    return Report([Table("Latency: median call", latencies), Table("Energy window: seconds an inference", windows)])


if __name__ == "__main__":
    main(run, __doc__)
