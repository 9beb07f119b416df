"""Messages as an orchestrator would send them."""

from __future__ import annotations

import math
import random

from protos.figures import measured, unavailable
from protos.gauntlet.v1 import (
    artifact_pb2,
    device_pb2,
    failure_pb2,
    fault_pb2,
    figure_pb2,
    fitness_pb2,
    fleet_pb2,
    job_pb2,
    measurement_pb2,
)

JOB_ID = "3f2a91c0d4e84b6f9a7c5e1d2b3a4f50"
NO_RAPL = "no RAPL in this container: run the agent on the host"


def model() -> artifact_pb2.ArtifactRef:
    return artifact_pb2.ArtifactRef(
        digest="ab" * 32, size_bytes=325_000, media_type="model/tflite", name="vww_96_int8.tflite"
    )


def interval(low: float, high: float) -> figure_pb2.Interval:
    return figure_pb2.Interval(low=low, high=high, confidence=0.95, method="order statistics")


def histogram(seed: int = 1, samples: int = 2311, bins: int = 40) -> measurement_pb2.Histogram:
    draw = random.Random(seed)
    values = sorted(428e-6 + 4e-6 * math.exp(draw.gauss(0, 0.8)) for _ in range(samples))
    low, high = values[0], values[int(0.99 * samples)]
    counts = [0] * bins
    for value in values:
        if value <= high:
            counts[min(int((value - low) / (high - low) * bins), bins - 1)] += 1
    return measurement_pb2.Histogram(low=low, high=high, counts=counts, overflow=samples - sum(counts))


def latency() -> measurement_pb2.LatencyResult:
    return measurement_pb2.LatencyResult(
        load_s=measured(0.00231),
        first_inference_s=measured(0.00121),
        median_s=measured(431.2e-6, 2311, interval(430.1e-6, 432.7e-6)),
        mean_s=measured(440.9e-6, 2311),
        min_s=measured(425.0e-6, 2311),
        max_s=measured(0.00131, 2311),
        mad_s=measured(3.1e-6, 2311),
        percentiles=[
            measurement_pb2.Percentile(rank=0.9, latency_s=measured(450.4e-6, 2311)),
            measurement_pb2.Percentile(rank=0.95, latency_s=measured(461.0e-6, 2311)),
            measurement_pb2.Percentile(rank=0.99, latency_s=unavailable("insufficient: 500 samples, 662 needed")),
        ],
        stop_reason=measurement_pb2.STOP_REASON_PRECISE,
        warmup_runs=1184,
        warmup_s=0.512,
        warmup_settled=True,
        calls_per_sample=1,
        histogram=histogram(),
        raw_samples=artifact_pb2.ArtifactRef(digest="cd" * 32, size_bytes=9000, media_type="samples/latency"),
    )


def host_state(load: float) -> measurement_pb2.HostState:
    return measurement_pb2.HostState(
        temperature_c=unavailable("no thermal zones in this container"),
        frequency_hz=measured(2.1e9),
        load_average=measured(load),
        governor_unavailable="no cpufreq in this container",
        background_cores=measured(0.07),
    )


def provenance() -> measurement_pb2.Provenance:
    return measurement_pb2.Provenance(
        device_id="bench-1",
        device_class="x86_64-avx512",
        agent_id="bench-1",
        software_version="0.1.0",
        runtime="litert",
        runtime_version="2.3.0",
        delegate="xnnpack",
        threads=1,
        cpus=[1],
        model_digest="ab" * 32,
        host_shared=True,
        before=host_state(0.3),
        after=host_state(0.9),
        started_at="2026-11-20T12:00:01Z",
        worker_s=2.2,
        remarks=["the host is shared with an orchestrator"],
    )


def specification() -> measurement_pb2.MeasurementSpec:
    return measurement_pb2.MeasurementSpec(
        model=model(),
        runtime=measurement_pb2.RuntimeSpec(threads=1, delegate="xnnpack"),
        latency=measurement_pb2.LatencySpec(max_samples=100_000, half_width=0.01),
        memory=measurement_pb2.MemorySpec(runs=5),
        energy=measurement_pb2.EnergySpec(window_s=5),
        timeout_s=120,
    )


def queued() -> job_pb2.Job:
    return job_pb2.Job(
        job_id=JOB_ID,
        spec=job_pb2.JobSpec(idempotency_key="k", measurement=specification(), max_attempts=3),
        state=job_pb2.JOB_STATE_QUEUED,
        submitted_at="2026-11-20T12:00:00Z",
    )


def running(step: str = "timing") -> job_pb2.Job:
    job = queued()
    job.state = job_pb2.JOB_STATE_RUNNING
    job.step = step
    job.attempts.append(
        job_pb2.Attempt(number=1, lease_id="l1", device_id="bench-1", started_at="2026-11-20T12:00:00Z")
    )
    return job


def succeeded() -> job_pb2.Job:
    job = running()
    job.state, job.step, job.finished_at = job_pb2.JOB_STATE_SUCCEEDED, "", "2026-11-20T12:00:04Z"
    job.attempts[0].ended_at = job.finished_at
    job.result.CopyFrom(
        measurement_pb2.MeasurementResult(
            model=measurement_pb2.ModelFacts(
                size_bytes=325_000,
                inputs=[
                    measurement_pb2.TensorFacts(
                        name="input_1", shape=[1, 96, 96, 3], dtype="int8", scale=0.00392157, zero_point=-128
                    )
                ],
                outputs=[measurement_pb2.TensorFacts(name="Identity", shape=[1, 2], dtype="float32")],
            ),
            latency=latency(),
            memory=measurement_pb2.MemoryResult(peak_bytes=measured(42e6), model_bytes=measured(1.9e6)),
            energy=measurement_pb2.EnergyResult(
                energy_j=unavailable(NO_RAPL), net_energy_j=unavailable(NO_RAPL), power_w=unavailable(NO_RAPL)
            ),
            provenance=provenance(),
        )
    )
    return job


def with_data() -> job_pb2.Job:
    """A succeeded job with accuracy, output check and energy."""
    job = succeeded()
    job.spec.measurement.accuracy.batch_size = 32
    job.spec.measurement.output_check.tolerance = 0.05
    job.result.accuracy.CopyFrom(
        measurement_pb2.AccuracyResult(top1=measured(0.912, 1000, interval(0.893, 0.928)), samples=1000, non_finite=2)
    )
    job.result.output_check.CopyFrom(
        measurement_pb2.OutputCheckResult(max_difference=measured(0.0021), top1_agreement=measured(1.0))
    )
    job.result.energy.CopyFrom(
        measurement_pb2.EnergyResult(
            energy_j=measured(0.0021),
            net_energy_j=measured(0.0013),
            power_w=measured(4.9),
            idle_power_w=measured(1.8),
            source="VDD_IN",
            window_s=5.0,
        )
    )
    return job


def with_profile(operators: int = 5) -> job_pb2.Job:
    """A succeeded job with the times of its operators, the first the dearest."""
    job = succeeded()
    job.spec.measurement.profile.inferences = 50
    shares = [0.45 * 0.5**place for place in range(max(1, operators - 1))] + [0.0] * (operators > 1)
    whole_s = 862.4e-6
    kinds = ("Convolution (NHWC, QC8) IGEMM", "DEPTHWISE_CONV_2D", "ADD", "Fully Connected (NC, QS8, QC8W) GEMM")
    job.result.profile.CopyFrom(
        measurement_pb2.ProfileResult(
            operators=[
                measurement_pb2.OperatorTime(
                    index=place,
                    type=kinds[place % 4],
                    name=f"layer{place}/conv",
                    delegate="none" if place % 4 == 2 else "xnnpack",
                    time_s=share * whole_s,
                    share=share,
                )
                for place, share in enumerate(shares)
            ],
            whole_s=measured(whole_s, 50),
            covered=measured(sum(shares), 50),
            inferences=50,
            source="LiteRT's profiler",
            resolution_s=1e-6,
        )
    )
    return job


def with_faults() -> job_pb2.Job:
    """A job with accuracy under faults too."""
    job = with_data()
    job.spec.measurement.fault_plan.CopyFrom(
        fault_pb2.FaultPlan(
            fault_model="iBF(p=0.001, per=bit)",
            site=fault_pb2.FAULT_SITE_WEIGHTS,
            scale=fault_pb2.FAULT_SCALE_DEPLOYED,
            half_width=0.01,
            confidence=0.95,
            min_patterns=3,
            max_patterns=3,
        )
    )
    job.result.faults.CopyFrom(
        measurement_pb2.FaultResult(
            accuracy=measured(0.8, 3, interval(0.704, 0.896)),
            pattern_accuracies=[0.84, 0.76, 0.8],
            fault_counts=[620, 640, 600],
            stop=measurement_pb2.PATTERN_STOP_CAP,
            non_finite=measured(0.0, 3000),
            clean_accuracy=job.result.accuracy.top1,
        )
    )
    return job


def crash() -> failure_pb2.Failure:
    return failure_pb2.Failure(
        kind=failure_pb2.FAILURE_KIND_CRASHED,
        message="the worker died of SIGSEGV",
        remedy="try --delegate none",
        signal=11,
        stderr_tail="INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nFatal Python error: Segmentation fault\n",
        last_step="warm-up",
    )


def invalid_model() -> failure_pb2.Failure:
    return failure_pb2.Failure(
        kind=failure_pb2.FAILURE_KIND_INVALID_MODEL,
        message="Didn't find op for builtin opcode 'SOFTMAX' version '9'",
        remedy="export it again with an older operator version",
        last_step="load",
    )


def failed(failure: failure_pb2.Failure) -> job_pb2.Job:
    job = running("")
    job.state, job.finished_at = job_pb2.JOB_STATE_FAILED, "2026-11-20T12:00:02Z"
    job.attempts[0].ended_at = job.finished_at
    job.attempts[0].failure.CopyFrom(failure)
    job.failure.CopyFrom(failure)
    return job


def device() -> fleet_pb2.Device:
    return fleet_pb2.Device(
        description=device_pb2.DeviceDescription(
            device_id="bench-1",
            device_class="x86_64-avx512",
            labels={"site": "berlin"},
            hardware=device_pb2.Hardware(
                cpu_model="Intel(R) Xeon(R) Platinum 8481C",
                architecture="x86_64",
                physical_cores=1,
                logical_cores=2,
                memory_bytes=24 * 1024**3,
                operating_system="Debian GNU/Linux 12 (bookworm)",
                kernel="6.1.0-9",
                cpu_features=["avx2", "avx512f", "avx512_vnni"],
                virtualization="container",
            ),
            runtimes=[
                device_pb2.Runtime(name="litert", version="2.3.0", delegates=["xnnpack"], formats=["tflite"]),
            ],
            sensors=[
                device_pb2.Sensor(quantity="energy_j", unavailable=NO_RAPL),
                device_pb2.Sensor(quantity="load_average", source="/proc/loadavg"),
            ],
            capabilities=["latency", "memory", "accuracy", "output_check"],
        ),
        agent_id="bench-1",
        state=device_pb2.DEVICE_STATE_ONLINE,
        last_seen_at="2026-11-20T12:00:00Z",
        telemetry=device_pb2.DeviceTelemetry(device_id="bench-1", load_average=measured(0.31)),
    )


def lost_device() -> fleet_pb2.Device:
    other = device()
    other.description.device_id, other.agent_id = "pi-kitchen", "pi-kitchen"
    other.description.device_class = "raspberrypi4"
    other.state, other.state_reason = device_pb2.DEVICE_STATE_LOST, "no heartbeat for 10 s"
    return other


SHIFT = "fitness check of 2026-11-20 12:00 UTC: the reference model took 5.2 % longer than at the last good checks"


def suspect(job: job_pb2.Job, successor_job_id: str = "") -> job_pb2.Job:
    """The job, marked."""
    job.suspicion.reason, job.suspicion.marked_at = SHIFT, "2026-11-20T12:00:05Z"
    job.suspicion.successor_job_id = successor_job_id
    return job


def checks() -> list[fitness_pb2.FitnessCheck]:
    """A good check, before it one that shifted, before that one that could not be made."""
    return [
        fitness_pb2.FitnessCheck(
            check_id=f"check-{number}",
            device_id="bench-1",
            checked_at=f"2026-11-20T12:0{number}:00Z",
            occasion="every 10 jobs",
            verdict=f"FITNESS_VERDICT_{verdict}",
            reference_s=measured(412e-6 * (1 + (shift or 0))) if shift is not None else unavailable(reason),
            expected_s=measured(412e-6),
            shift=shift,
            reason=reason,
        )
        for number, verdict, shift, reason in (
            (3, "GOOD", 0.004, ""),
            (2, "SHIFTED", 0.052, "confirmed by two further processes"),
            (1, "UNAVAILABLE", None, "the worker crashed"),
        )
    ]


def summary(job: job_pb2.Job) -> fleet_pb2.JobSummary:
    return fleet_pb2.JobSummary(
        job_id=job.job_id,
        state=job.state,
        model_name=job.spec.measurement.model.name,
        model_digest=job.spec.measurement.model.digest,
        device_id=job.attempts[-1].device_id if job.attempts else "",
        submitted_at=job.submitted_at,
        finished_at=job.finished_at,
        attempts=len(job.attempts),
        failure_kind=job.failure.kind,
        failure_message=job.failure.message,
        campaign_id=job.spec.campaign_id,
        suspect_because=job.suspicion.reason,
    )
