"""A job by a runner that speaks the bridge's own protocol.

    describe ──▶ output check ──▶ [ time ] ──▶ [ repeat: energy ] ──▶ accuracy ──▶ faults
                                  └ timed windows: nobody looks ┘

Each is a process of its own. The steady state is looked at between processes: one whose interval is too wide is timed
anew, for longer. All figures are made here, from raw samples and raw outputs, by the code that makes those of local
devices.
"""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Dict, Generator, List, Optional, Sequence, Tuple, TypeVar

from device_agent import runtimes
from device_agent.bridge import calls, playback, runner
from device_agent.bridge.adb import Phone
from device_agent.bridge.calls import Around, Caller
from device_agent.bridge.inference import Samples
from device_agent.bridge.job import Hands, Job, mask
from device_agent.bridge.runner import Blob, ModelOnPhone, Run, RunnerFacts, Timed
from device_agent.bridge.snapshot import Snapshot, script
from device_agent.bridge.store import PhoneStore
from device_agent.measure import latency, outputs
from device_agent.measure.accuracy import Answers, LabelledSamples, summarise
from device_agent.measure.artifacts import write_artifact
from device_agent.measure.bootstrap import Bootstrap
from device_agent.measure.energy import Plan, unavailable
from device_agent.measure.faults import fault_steps
from device_agent.measure.faulty import Trial
from device_agent.measure.tensors import Array, example_inputs, invalid_data, load_arrays
from device_agent.runtimes import litert
from protos import figures
from protos.contract import digest_of_bytes
from protos.gauntlet.v1 import measurement_pb2 as pb

_DESCRIBE_S = 60.0
_CONFIDENCE = 0.95
_LOOK_S = 15.0
#: Samples of a next process over those of the one before: at least so many more, and some more than needed.
_GROWTH, _SPARE = 1.5, 1.2
#: Independent samples narrow an interval by sqrt(1.5): one that has kept nine tenths has stopped shrinking.
_PLATEAU_RATIO = 0.9
#: Intervals of few samples are rough: no process takes more than so many times the samples of the one before.
_LEAP = 20.0
#: Of the cap in time: what a runner that keeps to it has used.
_NEARLY = 0.9

Made = TypeVar("Made")


class OwnProtocol:
    """A runner that speaks the protocol of docs/runner.md.

    Args:
        phone: where it runs.
        store: of its files.
        program: the runner's file here.
    """

    def __init__(self, phone: Phone, store: PhoneStore, program: Path) -> None:
        self._phone = phone
        self._caller = Caller(phone, store, program)

    @property
    def name(self) -> str:
        """For the provenance."""
        return f"runner {self._caller.digest[:12]}"

    async def describe(self) -> RunnerFacts:
        """What it offers.

        Raises:
            MeasurementError: it does not run, or does not keep to the protocol.
            AdbError: adb's own trouble.
        """
        answer = await self._caller.call(runner.describe_request(None), {}, b"", _DESCRIBE_S, Hands())
        await self._caller.tidy()
        return runner.facts_of(answer.result)

    async def carry_out(self, job: Job) -> None:
        """Do a job; its result is filled.

        Raises:
            MeasurementError: there is none, and why.
            AdbError: adb's own trouble.
        """
        try:
            await _Work(self._phone, self._caller, job).carry_out()
        finally:
            await asyncio.shield(self._caller.tidy())


class _Work:
    def __init__(self, phone: Phone, caller: Caller, job: Job) -> None:
        self._phone = phone
        self._caller = caller
        self._job = job
        self._delegate = job.spec.runtime.delegate
        self._digest = job.spec.model.digest
        self._file = Blob(f"../{self._digest}")
        self._files: Dict[str, Path] = {self._digest: job.path(job.spec.model)}

    async def carry_out(self) -> None:
        job, spec = self._job, self._job.spec
        model = await self._describe()
        if spec.HasField("output_check"):
            job.step("output check")
            job.result.output_check.CopyFrom(await self._check(model))
        if spec.HasField("latency"):
            timed, stop = await job.window(lambda: self._time(model), lambda taken: taken[0].samples)
            job.result.latency.CopyFrom(self._latency(timed, stop))
        if spec.HasField("energy"):
            job.step("energy")
            energy = await job.window(lambda: self._energy(model), lambda _: None)
            job.result.energy.CopyFrom(energy)
        if spec.HasField("accuracy"):
            await self._accuracy(model)
        elif spec.HasField("fault_plan"):
            raise invalid_data("a fault plan needs accuracy, whose data set it uses")

    async def _describe(self) -> ModelOnPhone:
        """The model as the runner sees it, into the result."""
        job, spec = self._job, self._job.spec
        job.step("check")
        if runtimes.format_of(spec.model.media_type) == "tflite":
            litert.check_file(job.path(spec.model))
        request = runner.describe_request(self._file, job.threads, self._delegate)
        result = await self._call(request)
        facts, model = runner.facts_of(result), runner.model_of(result)
        told = job.result.provenance
        told.runtime, told.runtime_version, told.delegate = facts.name, facts.version, model.delegate
        for remark in model.remarks:
            job.remark(remark)
        job.result.model.inputs.extend(tensor.to_message() for tensor in model.inputs)
        job.result.model.outputs.extend(tensor.to_message() for tensor in model.outputs)
        return model

    # ------------------------------------------------------------------------------------------------ outputs

    async def _check(self, model: ModelOnPhone) -> pb.OutputCheckResult:
        asked = self._job.spec.output_check
        reference = outputs.load_reference(self._job.path(asked.reference))
        arrays = load_arrays(reference.inputs, model.inputs)
        _, got = await self._samples(model, arrays).run_all(outputs.BATCH)
        return outputs.compare_outputs(model, got, reference, asked.tolerance)

    async def _accuracy(self, model: ModelOnPhone) -> None:
        """And the same under faults."""
        job, spec = self._job, self._job.spec
        job.step("accuracy")
        labelled = await asyncio.to_thread(LabelledSamples, model, job.path(spec.accuracy.dataset))
        samples = self._samples(model, labelled.inputs)
        batch, got = await samples.run_all(int(spec.accuracy.batch_size))
        answers = await asyncio.to_thread(labelled.judge, model.outputs[0], got[0])
        job.result.accuracy.CopyFrom(summarise(answers, spec.accuracy.confidence, job.folder))
        if not spec.HasField("fault_plan"):
            return
        job.step("faults")
        plan, content = spec.fault_plan, job.path(spec.model).read_bytes()
        steps = fault_steps(
            content,
            plan,
            job.result.accuracy.top1,
            len(labelled),
            batch,
            job.folder,
            job.path(plan.record) if plan.HasField("record") else None,
            samples.at_once(content),
        )
        asked, made = await asyncio.to_thread(_advance, steps, None)
        while asked is not None:
            # The clean model has been run already, on the same samples in the same batches.
            known = [
                labelled.judge(model.outputs[0], got[0], best=t.best) if t.content is content else None for t in asked
            ]
            found = iter(await samples.answers([t for t, answer in zip(asked, known) if answer is None], labelled))
            answered = [next(found) if answer is None else answer for answer in known]
            asked, made = await asyncio.to_thread(_advance, steps, answered)
        assert made is not None
        job.result.faults.CopyFrom(made)

    def _samples(self, model: ModelOnPhone, arrays: Sequence[Array]) -> Samples:
        """Samples as files that the phone keeps, by their digests."""
        blobs = []
        for array in arrays:
            content = runner.little_endian(array)
            digest = digest_of_bytes(content)
            path = self._job.scratch / digest
            path.write_bytes(content)
            self._files[digest] = path
            blobs.append(Blob(f"../{digest}"))
        return Samples(model, self._file, arrays, blobs, self._invoke)

    async def _invoke(self, runs: Sequence[Run], data: bytes) -> Tuple[List[int], bytes]:
        request = runner.invoke_request(runs, self._job.threads, self._delegate, calls.OUTPUTS)
        answer = await self._caller.call(
            request, self._files, data, self._job.left_s(), self._job.hands, [calls.OUTPUTS]
        )
        return runner.batches_of(answer.result, len(runs)), answer.files[calls.OUTPUTS]

    # ------------------------------------------------------------------------------------------------ latency

    async def _time(self, model: ModelOnPhone) -> Tuple[Timed, pb.StopReason]:
        """Samples until the median is known well enough, stops getting better, or a cap is met."""
        spec = self._job.spec.latency
        inputs, data = _chewed(model)
        least, most = max(int(spec.min_samples), 1), int(spec.max_samples) or 1_000_000
        previous = math.inf
        while True:
            self._job.step("timing")
            request = runner.time_request(self._file, inputs, self._job.threads, self._delegate, spec, least)
            timed = runner.timed_of(await self._call(request, data))
            taken, width = len(timed.samples), Bootstrap(timed.samples).relative_half_width(spec.confidence)
            spent_s = float(timed.samples.sum()) * timed.calls_per_sample
            if width <= spec.half_width:
                return timed, pb.STOP_REASON_PRECISE
            if taken >= most:
                return timed, pb.STOP_REASON_MAX_SAMPLES
            if spec.max_s and spent_s >= _NEARLY * spec.max_s:
                return timed, pb.STOP_REASON_MAX_TIME
            if width >= _PLATEAU_RATIO * previous:
                return timed, pb.STOP_REASON_PLATEAU
            needed = taken * max(_GROWTH, min(_SPARE * (width / spec.half_width) ** 2, _LEAP))
            least, previous = min(math.ceil(needed), most), width

    def _latency(self, timed: Timed, stop: pb.StopReason) -> pb.LatencyResult:
        confidence = self._job.spec.latency.confidence
        steady = latency.Timing(timed.samples, timed.calls_per_sample, stop)
        made = latency.summarise(steady, timed.warmup, confidence)
        made.load_s.CopyFrom(figures.measured(timed.load_s))
        made.first_inference_s.CopyFrom(figures.measured(timed.first_s))
        samples = timed.samples.astype("<f8")
        made.raw_samples.CopyFrom(write_artifact(self._job.folder, samples, latency.SAMPLES, "latency samples"))
        return made

    # ------------------------------------------------------------------------------------------------ energy

    async def _energy(self, model: ModelOnPhone) -> pb.EnergyResult:
        job, spec = self._job, self._job.spec
        look = await self._phone.shell(["sh", "-c", script(playback.FILES, {})], _LOOK_S)
        meter = playback.find_meter(Snapshot.parse(look.stdout.decode(errors="replace")))
        if meter.unavailable:
            return unavailable(meter.unavailable)
        plan = Plan.of(spec.energy, meter)
        seconds = plan.ramp_s + plan.window_s + playback.SPARE_S
        before_s, after_s = plan.idle_s + playback.SPARE_S, plan.settle_s + plan.idle_s + playback.SPARE_S
        # The shell that writes things down keeps off the runner's cores.
        aside = f"taskset -p {mask(job.hands.others)} $$ >/dev/null 2>&1; " if job.hands.others else ""
        around = Around(
            before=f"{aside}{{ {playback.sampler()}; }} & sampler=$!; sleep {before_s:g}",
            after=f"sleep {after_s:g}; touch done; wait $sampler",
            seconds=before_s + after_s,
        )
        inputs, data = _chewed(model)
        request = runner.repeat_request(self._file, inputs, job.threads, self._delegate, seconds)
        limit_s = max(job.left_s() - around.seconds, seconds)
        answer = await self._caller.call(request, self._files, data, limit_s, job.hands, [playback.TRACE], around)
        trace = playback.parse_trace(answer.files[playback.TRACE].decode(errors="replace"))
        marks = runner.marks_of(answer.result)
        confidence = spec.latency.confidence or _CONFIDENCE
        return await asyncio.to_thread(playback.meter_trace, trace, marks, spec.energy, confidence)

    async def _call(self, request: runner.Json, data: bytes = b"") -> runner.Json:
        job = self._job
        return (await self._caller.call(request, self._files, data, job.left_s(), job.hands)).result


def _chewed(model: ModelOnPhone) -> Tuple[List[Blob], bytes]:
    """Something for a model to chew on while it is timed: where each input lies in the data, and the data."""
    blobs, data = [], b""
    for array in example_inputs(model.inputs):
        content = runner.little_endian(array)
        blobs.append(Blob(calls.DATA, len(data), len(content)))
        data += content
    return blobs, data


def _advance(
    steps: Generator[List[Trial], List[Answers], Made], answers: Optional[List[Answers]]
) -> Tuple[Optional[List[Trial]], Optional[Made]]:
    """What is asked for next, or what was made of it all: a coroutine may not end in StopIteration."""
    try:
        return (steps.send(answers) if answers is not None else next(steps)), None
    except StopIteration as end:
        return None, end.value
