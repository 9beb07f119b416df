"""Carry out a measurement specification in the worker process.

    load → check outputs → [ load, first inference, warm-up, steady state, energy, scenarios ] → accuracy → faults
                           └─────── under the host's lock for timed windows, gc off ────────┘

A model whose outputs are checked is loaded anew for timing: its first inference must be a first one. Faults come last,
in copies of the model: everything else is measured on the clean graph. Peak memory and the times of operators are taken
in workers of their own.
"""

from __future__ import annotations

import datetime
import gc
import math
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar

from device_agent.cores import Pinning
from device_agent.errors import MeasurementError
from device_agent.hostlock import HostLock
from device_agent.hoststate import CpuTimes, HostReader
from device_agent.measure import comparison, latency, scenarios
from device_agent.measure.accuracy import measure_accuracy
from device_agent.measure.artifacts import write_artifact
from device_agent.measure.conditions import Recorder, probes_of
from device_agent.measure.continuity import Continuity
from device_agent.measure.energy import measure_energy
from device_agent.measure.faults import measure_faults
from device_agent.measure.memory import ResidentMemory, measure_memory
from device_agent.measure.meters import Meter, choose_meter, survey_machine
from device_agent.measure.outputs import check_outputs
from device_agent.measure.profile import measure_profile
from device_agent.measure.tensors import fill_inputs, invalid_data
from device_agent.measure.throttling import Guard
from device_agent.runtimes import LoadedModel, Runtime, choose, first_inference, format_of
from device_agent.tuning.tuner import Tuner
from device_agent.tuning.window import set_up
from protos import figures
from protos.contract import software_version
from protos.gauntlet.v1 import artifact_pb2, failure_pb2, worker_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from protos.timed import timed_parts

#: Tells the agent what the worker does now; True while it waits for the host's lock.
Report = Callable[[str, bool], None]
Window = TypeVar("Window")

#: Delegates and execution providers whose work a processor's meter does not see.
_ACCELERATORS = ("cuda", "tensorrt", "gpu", "rocm")
_WINDOW_ATTEMPTS = 3
_BUSY_CORES = 0.2
#: The load by others is read over this long before the first window, where a window lasts many times as long.
_LOOK_S = 0.1
_LOOKED_AT_S = 5 * _LOOK_S
_CONFIDENCE = 0.95


class Bench:
    """What a worker keeps between jobs.

    Args:
        runtimes: installed here, best first.
        continuity: already installed in the main thread.
        reader: of the host's state.
        meter: of energy; None: the best that this machine has for each job.
        tuner: sets the device up; None where that is not permitted.
    """

    def __init__(
        self,
        runtimes: Sequence[Runtime],
        continuity: Continuity,
        reader: Optional[HostReader] = None,
        meter: Optional[Meter] = None,
        tuner: Optional[Tuner] = None,
    ) -> None:
        self.runtimes = runtimes
        self.continuity = continuity
        self.reader = reader or HostReader()
        self._meters = [meter] if meter is not None else survey_machine()
        self.tuner = tuner
        self.version = software_version()
        self.idle_since: Optional[CpuTimes] = self.reader.cpu_times()

    def meter(self, delegate: str) -> Meter:
        """The meter that covers what a delegate runs on."""
        return choose_meter(self._meters, delegate in _ACCELERATORS)

    def carry_out(self, request: worker_pb2.WorkerRequest, report: Report) -> pb.MeasurementResult:
        """Do one request.

        Raises:
            MeasurementError: there is no result, and why.
        """
        try:
            job = _Job(self, request, report)
            if request.task == worker_pb2.WORKER_TASK_MEMORY:
                return job.memory()
            if request.task == worker_pb2.WORKER_TASK_COMPARE:
                return job.compare(request.process)
            return job.profile() if request.task == worker_pb2.WORKER_TASK_PROFILE else job.measure()
        finally:
            self.idle_since = self.reader.cpu_times()


class _Job:
    def __init__(self, bench: Bench, request: worker_pb2.WorkerRequest, report: Report) -> None:
        self._bench = bench
        self._spec = request.spec
        self._paths: Mapping[str, str] = request.paths
        self._output_dir = Path(request.output_dir)
        self._report = report
        self._threads = max(1, int(self._spec.runtime.threads))
        self._format = format_of(self._spec.model.media_type)
        self._runtime = choose(bench.runtimes, self._spec.runtime.name, self._format)
        self._begin_s = time.monotonic()
        report("check A" if request.task == worker_pb2.WORKER_TASK_COMPARE else "check", False)
        # Nothing for the runtime that most jobs use, seconds for torch; never part of a figure.
        self._runtime.preload()
        self._runtime.check(self._path(self._spec.model))
        self._remarks: List[str] = []
        self._lock_wait_s = 0.0
        self._provenance = pb.Provenance(
            software_version=bench.version,
            runtime=self._runtime.name,
            runtime_version=self._runtime.version,
            threads=self._threads,
            model_digest=self._spec.model.digest,
            started_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
            before=bench.reader.state(bench.idle_since),
        )

    def measure(self) -> pb.MeasurementResult:
        result = pb.MeasurementResult()
        spec = self._spec
        timed = bool(timed_parts(spec))
        pinning = Pinning(self._threads, timed and spec.latency.pinning != pb.PINNING_NONE, spec.setup.cores)
        try:
            self._provenance.cpus.extend(pinning.cpus)
            self._remark(pinning.remark)
            model: Optional[LoadedModel] = None
            if spec.HasField("output_check"):
                model = self._load()
                self._report("output check", False)
                reference = self._path(spec.output_check.reference)
                result.output_check.CopyFrom(check_outputs(model, spec.output_check, reference))
            if timed:
                del model
                with self._exclusive(), self._recorder(pinning.cpus) as recorder, self._watched(recorder) as guard:
                    model = self._taken(guard, lambda: self._timed_windows(result, recorder, guard))
                    self._scenarios(result, recorder, pinning, guard)
                result.conditions.CopyFrom(recorder.result(self._output_dir))
            else:
                model = model or self._load()
                self._provenance.after.CopyFrom(self._bench.reader.state())
        finally:
            pinning.release()
        self._describe(result, model)
        if spec.HasField("accuracy"):
            self._report("accuracy", False)
            dataset = self._path(spec.accuracy.dataset)
            result.accuracy.CopyFrom(measure_accuracy(model, spec.accuracy, dataset, self._output_dir))
        if spec.HasField("fault_plan"):
            self._report("faults", False)
            result.faults.CopyFrom(self._faults(model, result))
        return self._finish(result)

    def _faults(self, model: LoadedModel, result: pb.MeasurementResult) -> pb.FaultResult:
        spec = self._spec
        if not spec.HasField("accuracy"):
            raise invalid_data("a fault plan needs accuracy, whose data set it uses")
        if self._format != "tflite":
            raise MeasurementError(
                failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION,
                f"faults are put into .tflite files, not into {self._format!r} models",
                "export the network with search.export.export_tflite",
            )

        def load(content: bytes, batch: int) -> LoadedModel:
            return self._runtime.load(content, self._threads, spec.runtime.delegate, batch)

        plan, content = spec.fault_plan, self._path(spec.model).read_bytes()
        record = self._path(plan.record) if plan.HasField("record") else None
        data = self._path(spec.accuracy.dataset)
        return measure_faults(model, load, content, plan, result.accuracy.top1, data, self._output_dir, record)

    def memory(self) -> pb.MeasurementResult:
        result = pb.MeasurementResult()
        kept: List[LoadedModel] = []

        def work() -> None:
            model = self._load()
            kept.append(model)
            self._report("memory", False)
            fill_inputs(model)
            with first_inference(model):
                for _ in range(max(1, int(self._spec.memory.runs))):
                    model.invoke()

        result.memory.CopyFrom(measure_memory(work))
        self._provenance.after.CopyFrom(self._bench.reader.state())
        self._describe(result, kept[0])
        return self._finish(result)

    def profile(self) -> pb.MeasurementResult:
        result = pb.MeasurementResult()
        pinning = Pinning(self._threads, self._spec.latency.pinning != pb.PINNING_NONE)
        try:
            self._describe(result, self._load())
            with self._exclusive(), _no_garbage_collection():
                self._report("profile", False)
                path = self._path(self._spec.model)
                result.profile.CopyFrom(measure_profile(self._runtime, path, self._spec, self._threads))
        finally:
            pinning.release()
        self._provenance.after.CopyFrom(self._bench.reader.state())
        return self._finish(result)

    def compare(self, process: int) -> pb.MeasurementResult:
        result = pb.MeasurementResult()
        spec = self._spec.comparison
        pinning = Pinning(self._threads, spec.pinning != pb.PINNING_NONE, self._spec.setup.cores)
        try:
            self._provenance.cpus.extend(pinning.cpus)
            self._remark(pinning.remark)
            self._report("check B", False)
            self._runtime.check(self._path(spec.model))
            with self._exclusive(), self._recorder(pinning.cpus) as recorder, self._watched(recorder) as guard:
                a, b = self._taken(guard, lambda: self._interleaved(result, recorder, process % 2 == 1))
        finally:
            pinning.release()
        self._describe(result, a)
        for remark in b.remarks:
            if remark not in a.remarks:
                self._remark(f"B: {remark}")
        if a.delegate != b.delegate:
            self._remark(f"A runs with {a.delegate}, B with {b.delegate}")
        return self._finish(result)

    def _interleaved(
        self, result: pb.MeasurementResult, recorder: Recorder, b_first: bool
    ) -> Tuple[LoadedModel, LoadedModel]:
        spec = self._spec.comparison
        models: Dict[str, LoadedModel] = {}
        contenders: Dict[str, comparison.Contender] = {}
        # Who is loaded first gets another place in memory: the processes take turns.
        letters = "BA" if b_first else "AB"
        for letter in letters:
            model = models[letter] = self._load(spec.model if letter == "B" else self._spec.model, f"load {letter}")
            fill_inputs(model)
        for letter in letters:
            self._report(f"warm-up {letter}", False)
            with first_inference(models[letter]):
                contenders[letter] = comparison.warm_up(models[letter].invoke, spec)
        self._report(comparison.BLOCKS_STEP, False)
        pair = (contenders["A"], contenders["B"])
        with recorder.quiet():
            series = comparison.interleave(pair, spec, b_first)
        run = comparison.summarise(series, pair, spec, b_first, self._output_dir)
        result.comparison.CopyFrom(pb.ComparisonResult(runs=[run]))
        return models["A"], models["B"]

    def _timed_windows(self, result: pb.MeasurementResult, recorder: Recorder, guard: Guard) -> LoadedModel:
        spec = self._spec
        begin = time.perf_counter_ns()
        model = self._load()
        load_s = (time.perf_counter_ns() - begin) / 1e9
        fill_inputs(model)
        invoke = model.invoke
        self._report("first inference", False)
        with first_inference(model):
            begin = time.perf_counter_ns()
            invoke()
            first_s = (time.perf_counter_ns() - begin) / 1e9
        if spec.HasField("latency"):
            self._report("warm-up", False)
            warmup = latency.warm_up(invoke, spec.latency)
            self._report("timing", False)
            with recorder.quiet():
                invoke()  # the first call after a sample finds cold caches
                timing = latency.steady_state(invoke, spec.latency, warmup.call_s, rest=recorder.rest)
            guard.judge(timing.samples)
            outcome = latency.summarise(timing, warmup, spec.latency.confidence)
            outcome.load_s.CopyFrom(figures.measured(load_s))
            outcome.first_inference_s.CopyFrom(figures.measured(first_s))
            samples = timing.samples.astype("<f8")
            outcome.raw_samples.CopyFrom(write_artifact(self._output_dir, samples, latency.SAMPLES, "latency samples"))
            result.latency.CopyFrom(outcome)
        if spec.HasField("energy"):
            self._report("energy", False)
            meter, confidence = self._bench.meter(model.delegate), spec.latency.confidence or _CONFIDENCE
            with recorder.quiet(busy=False):
                result.energy.CopyFrom(measure_energy(invoke, spec.energy, meter, confidence, rest=recorder.rest))
        return model

    def _scenarios(self, result: pb.MeasurementResult, recorder: Recorder, pinning: Pinning, guard: Guard) -> None:
        spec = self._spec

        def load(threads: int, batch: Optional[int]) -> LoadedModel:
            return self._runtime.load(self._path(spec.model), threads, spec.runtime.delegate, batch)

        @contextmanager
        def held(threads: int) -> Iterator[None]:
            cell = Pinning(threads, spec.latency.pinning != pb.PINNING_NONE, spec.setup.cores)
            try:
                self._remark(cell.remark)
                yield
            finally:
                cell.release()

        stage = scenarios.Stage(
            load, spec.latency, held, recorder, lambda step: self._report(step, False), self._remark
        )
        if spec.HasField("multi_stream"):
            asked, folder = spec.multi_stream, self._output_dir
            told = self._taken(guard, lambda: scenarios.measure_multi_stream(stage, asked, self._threads, folder))
            result.multi_stream.CopyFrom(told)
        if spec.HasField("offline"):
            # Each cell is held to as many cores as it has threads.
            pinning.release()
            result.offline.CopyFrom(scenarios.measure_offline(stage, spec.offline, partial(self._taken, guard)))

    @contextmanager
    def _watched(self, recorder: Recorder) -> Iterator[Guard]:
        """Timed windows under the host's lock: a look at the device, the windows, and a look again."""
        reader, told = self._bench.reader, self._provenance
        self._report("preflight", False)
        idle = self._bench.idle_since
        if not self._is_brief():
            idle = reader.cpu_times()
            time.sleep(_LOOK_S)
        told.before.CopyFrom(reader.state(idle, told.cpus))
        for held_back in told.before.throttling:
            self._remark(f"before it was measured: {held_back}")
        spec = self._spec.throttle if self._spec.HasField("throttle") else None
        pinned, spare_s = bool(told.cpus), self._spare_s()
        guard = Guard(spec, recorder, reader.thermometer(), pinned, spare_s, self._report, self._remark)
        began = reader.cpu_times()
        yield guard
        told.unfit.extend(guard.unfit)
        # While the lock is held: what the others do later does not count.
        told.after.CopyFrom(reader.state(began, told.cpus))
        others = figures.value_of(told.after.background_cores)
        if others is not None and others >= _BUSY_CORES:
            self._remark(f"other processes used {others:.1f} cores meanwhile")

    def _is_brief(self) -> bool:
        """Is a latency all that is timed, in less time than a look is worth?"""
        return timed_parts(self._spec) == ["latency"] and self._spec.latency.min_s < _LOOKED_AT_S

    def _spare_s(self) -> float:
        """Seconds of work that windows may take with their repetitions: half of the limit is for what follows."""
        if not self._spec.timeout_s:
            return math.inf
        return self._spec.timeout_s / 2 - (time.monotonic() - self._begin_s - self._lock_wait_s)

    def _taken(self, guard: Guard, window: Callable[[], Window]) -> Window:
        return guard.take(lambda: self._uninterrupted(guard, window))

    def _uninterrupted(self, guard: Guard, window: Callable[[], Window]) -> Window:
        """Take a window again when the process was stopped or the machine slept in it."""
        why: Optional[str] = None
        for _ in range(_WINDOW_ATTEMPTS):
            self._bench.continuity.begin()
            guard.begin()
            with _no_garbage_collection():
                outcome = window()
            why = self._bench.continuity.broken()
            if why is None:
                return outcome
            self._remark(f"a timed window was taken again: {why}")
        raise MeasurementError(
            failure_pb2.FAILURE_KIND_DEVICE_UNFIT,
            f"{_WINDOW_ATTEMPTS} timed windows in a row are void: {why}",
            "do not stop the agent or suspend the machine while it measures",
        )

    @contextmanager
    def _recorder(self, cpus: Sequence[int]) -> Iterator[Recorder]:
        """Watch the machine for a while; what is reported meanwhile becomes its phases."""
        bench, report = self._bench, self._report
        probes = bench.reader.probes(cpus) + probes_of(ResidentMemory(), bench.meter(self._spec.runtime.delegate))
        with Recorder(probes) as recorder:
            self._report = recorder.noting(report)
            try:
                yield recorder
            finally:
                self._report = report

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        lock = HostLock()
        self._lock_wait_s = lock.acquire(on_wait=lambda: self._report("waiting for the host", True))
        try:
            with set_up(self._bench.tuner, self._spec, self._provenance):
                yield
        finally:
            lock.release()

    def _load(self, ref: Optional[artifact_pb2.ArtifactRef] = None, step: str = "load") -> LoadedModel:
        self._report(step, False)
        return self._runtime.load(self._path(ref or self._spec.model), self._threads, self._spec.runtime.delegate)

    def _path(self, artifact: artifact_pb2.ArtifactRef) -> Path:
        path = self._paths.get(artifact.digest)
        if path is None:
            raise MeasurementError(
                failure_pb2.FAILURE_KIND_INTERNAL, f"artifact {artifact.digest or '(no digest)'} was not handed over"
            )
        return Path(path)

    def _describe(self, result: pb.MeasurementResult, model: LoadedModel) -> None:
        result.model.size_bytes = self._path(self._spec.model).stat().st_size
        result.model.inputs.extend(tensor.to_message() for tensor in model.inputs)
        result.model.outputs.extend(tensor.to_message() for tensor in model.outputs)
        self._provenance.delegate = model.delegate
        for remark in model.remarks:
            self._remark(remark)

    def _remark(self, text: str) -> None:
        if text and text not in self._remarks:
            self._remarks.append(text)

    def _finish(self, result: pb.MeasurementResult) -> pb.MeasurementResult:
        self._provenance.host_lock_wait_s = self._lock_wait_s
        self._provenance.worker_s = time.monotonic() - self._begin_s
        self._provenance.remarks.extend(self._remarks)
        result.provenance.CopyFrom(self._provenance)
        return result


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
