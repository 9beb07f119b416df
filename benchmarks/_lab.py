"""A lab of real processes, as the embedded lab starts them: orchestrator and agent. They end with this process."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from orchestrator.client import SyncClient
from orchestrator.client.specs import job_spec, latency_spec, measurement_spec
from protos.gauntlet.v1 import artifact_pb2, job_pb2

PROJECT = Path(__file__).resolve().parent.parent
#: Real models and data, which may be absent.
DATA = Path(os.environ.get("GAUNTLET_DATA") or PROJECT.parent / "shared" / "data")
MODEL_TYPE = "model/tflite"
_READY_S = 60.0
_END_S = 10.0


class Lab:
    """An orchestrator and its agents; use as a context manager.

    Args:
        folder: of the lab, must exist; for a unix socket its path must be short.
        address: where the orchestrator listens, see `unix_address` and `tcp_address`.
        agents: how many, with one device each; `agent` is the first.
    """

    def __init__(self, folder: Path, address: str, agents: int = 1) -> None:
        self.folder = folder
        self.address = address
        self._size = agents
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Lab:
        lab = ["-m", "orchestrator", "--address", self.address, "--dir", str(self.folder / "lab")]
        # Without fitness checks: jobs of milliseconds by the hundred would measure little else.
        agent = ["-m", "device_agent", "run", "--orchestrator", self.address, "--no-fitness"]
        try:
            self.orchestrator = psutil.Process(self._start("orchestrator", lab).pid)
            started = [self._start_agent(agent, number) for number in range(self._size)]
            self.agents = [psutil.Process(child.pid) for child in started]
            self.agent = self.agents[0]
            with contextlib.closing(SyncClient(self.address, patience_s=_READY_S)) as client:
                client.wait_ready(_READY_S, devices=self._size)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all, the agents first."""
        for child in reversed(self._children):
            assert child.stdin is not None
            child.stdin.close()
            try:
                child.wait(_END_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()

    def workers(self) -> list[psutil.Process]:
        """The agents' workers, oldest first."""
        children = [child for agent in self.agents for child in agent.children(recursive=True)]
        found = [child for child in children if "device_agent.worker" in child.cmdline()]
        return sorted(found, key=lambda process: process.create_time())

    def cpu_s(self) -> dict[str, float]:
        """Processor time so far, by process; all agents together, and all workers."""
        workers = sum(_cpu_s(worker) for worker in self.workers())
        return {"orchestrator": _cpu_s(self.orchestrator), "agent": sum(map(_cpu_s, self.agents)), "workers": workers}

    def _start_agent(self, command: Sequence[str], number: int) -> subprocess.Popen[bytes]:
        name = f"agent{number}"
        return self._start(name, [*command, "--state-dir", str(self.folder / name), "--agent-id", name])

    def _start(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        child = start([*arguments, "--lifeline"], self.folder, self.folder / f"{name}.log")
        self._children.append(child)
        return child


def start(arguments: Sequence[str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start our Python with these arguments; its standard input is a pipe that ends with this process."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=environment(),
        )


def environment() -> dict[str, str]:
    """Of a child: it imports this checkout, and nothing from the folder where it runs."""
    return {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONSAFEPATH": "1"}


def unix_address(folder: Path) -> str:
    """A socket in this folder."""
    return f"unix:{folder / 'lab.sock'}"


def tcp_address() -> str:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def short_job(model: artifact_pb2.ArtifactRef) -> job_pb2.JobSpec:
    """The least that can be asked: 10 samples, without warm-up time, memory and energy."""
    latency = latency_spec(
        warmup_min_runs=1,
        warmup_min_s=0.0,
        warmup_max_s=0.0,
        min_samples=10,
        max_samples=10,
        min_s=0.0,
        max_s=1.0,
        half_width=0.5,
        min_sample_s=0.0,
    )
    return job_spec(measurement_spec(model, latency=latency, memory=False, energy=False))


def result_of(job: job_pb2.Job) -> Any:
    """The result of a job that must have one.

    Raises:
        RuntimeError: it failed, and how.
    """
    if not job.HasField("result"):
        raise RuntimeError(f"job {job.job_id} failed: {job.failure.message or job.failure}")
    return job.result


def export_model(path: Path) -> Path:
    """Write ResNet-20 in int8, about 300 kB, in a process of its own: exporting imports torch."""
    subprocess.run([sys.executable, "-m", "benchmarks._model", str(path)], check=True, cwd=PROJECT)
    return path


def real_models() -> Path | None:
    """The folder of real .tflite files: `$GAUNTLET_DATA/tflite`, or beside the checkout; None where there is none."""
    folder = DATA / "tflite"
    return folder if folder.is_dir() else None


@contextlib.contextmanager
def ended(child: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Kill this child at the end of the block."""
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
