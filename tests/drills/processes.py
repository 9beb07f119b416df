"""A lab of real processes, to be killed, stopped and cut off."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from orchestrator.client import SyncClient
from orchestrator.client.specs import job_spec, latency_spec, measurement_spec
from orchestrator.failpoints import VARIABLE as FAILPOINT
from protos.gauntlet.v1 import artifact_pb2, device_pb2, job_pb2
from protos.hostlock import HostLock
from tests.drills.ledger import Ledger
from tests.drills.proxy import Proxy

#: Generous, for a busy machine: a drill that needs longer has found a fault.
PATIENCE_S = 60.0
FINAL = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED)


class Lab:
    """An orchestrator and agents as processes of their own, with short leases.

    Args:
        health: settings of quarantine; drills that kill an agent again and again want none.
    """

    def __init__(
        self,
        folder: Path,
        heartbeat_s: float = 0.3,
        lease_s: float = 2.0,
        health: Sequence[str] = ("--quarantine", "false"),
    ) -> None:
        self.folder = folder
        self.address = f"unix:{folder}/lab.sock"
        self._settings = ["--heartbeat-interval-s", str(heartbeat_s), "--lease-duration-s", str(lease_s), *health]
        self._processes: list[subprocess.Popen[bytes]] = []
        self._links: list[Proxy] = []
        self.lease_s = lease_s
        self.ledger = Ledger()
        self.orchestrator = self.start_orchestrator()
        self.client = SyncClient(self.address, patience_s=PATIENCE_S)

    def start_orchestrator(self, failpoint: str = "") -> subprocess.Popen[bytes]:
        """Start it, or start it again in the same folder; it dies at the failpoint, if one is named."""
        options = ["--address", self.address, "--dir", str(self.folder / "lab"), *self._settings]
        self.orchestrator = self._start("orchestrator", ["-m", "orchestrator", *options], {FAILPOINT: failpoint})
        return self.orchestrator

    def restart_orchestrator(self, failpoint: str = "") -> None:
        """Kill it, and start it again."""
        self.orchestrator.kill()
        self.orchestrator.wait()
        self.start_orchestrator(failpoint)

    def link(self) -> Proxy:
        """A network between agents and the orchestrator, to be spoilt."""
        self._links.append(Proxy(self.address))
        return self._links[-1]

    def start_agent(
        self, name: str = "a1", *options: str, state_dir: Path | None = None, through: Proxy | None = None
    ) -> subprocess.Popen[bytes]:
        """Start an agent, or start it again with the same state; returns once its device is there."""
        state = state_dir or self.folder / name
        address = through.address if through else self.address
        command = ["-m", "device_agent", "run", "--orchestrator", address, "--state-dir", str(state)]
        process = self._start(name, [*command, "--agent-id", name, *options])
        self.wait_until(lambda: self.device(name).state in PRESENT, f"{name} is there")
        return process

    def device(self, name: str) -> Any:
        """The device as the orchestrator sees it; an empty one if it never came."""
        return next((d for d in self.client.devices() if d.description.device_id == name), _NO_DEVICE)

    def submit(self, model: bytes, count: int = 1, **measurement: Any) -> list[str]:
        """Upload a model and submit so many jobs; their ids."""
        ref = self.client.put_bytes(model, "model/tflite", "drill.tflite")
        return self.submit_specs([quick_job(ref, **measurement) for _ in range(count)])

    def submit_specs(self, specs: Sequence[job_pb2.JobSpec]) -> list[str]:
        """Submit, on the ledger."""
        self.ledger.submitting(specs)
        submitted = self.client.submit(specs)
        for spec, job in zip(specs, submitted, strict=True):
            self.ledger.submitted(spec, job.job_id)
        return [job.job_id for job in submitted]

    def end_of(self, job_id: str) -> job_pb2.Job:
        """Wait for the job's end."""
        deadline = time.monotonic() + PATIENCE_S
        while (job := self.client.job(job_id)).state not in FINAL:
            assert time.monotonic() < deadline, f"job {job_id} never ended:\n{self.logs()}"
            time.sleep(0.05)
        self.ledger.saw(job)
        return job

    def audit(self) -> None:
        """Wait for the end of all that was submitted; then the ledger and the database must agree."""
        for job_id in self.ledger.acknowledged.values():
            self.end_of(job_id)
        self.ledger.check(self.folder / "lab")

    def wait_for_step(self, job_id: str, step: str) -> None:
        """Wait until the job's device reports a step."""
        self.wait_until(lambda: self.client.job(job_id).step == step, f"step {step}")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Poll what another process does."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for: {what}\n{self.logs()}"
            time.sleep(0.02)

    def logs(self) -> str:
        """What all processes wrote."""
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self.folder.glob("*.log")))

    def close(self) -> None:
        """End everything, workers included."""
        for process in self._processes:
            for victim in [*descendants(process.pid), process]:
                if isinstance(victim, psutil.Process):
                    _quietly(victim.kill)
            _quietly(lambda p=process: p.send_signal(signal.SIGCONT))  # type: ignore[misc]
            _quietly(process.kill)
            process.wait(10)
        for link in self._links:
            link.close()
        self.client.close()

    def _start(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "PYTHONSAFEPATH": "1", **(environment or {})},
            )
        self._processes.append(process)
        return process


USABLE = (device_pb2.DEVICE_STATE_ONLINE, device_pb2.DEVICE_STATE_BUSY)
PRESENT = (*USABLE, device_pb2.DEVICE_STATE_DRAINING, device_pb2.DEVICE_STATE_QUARANTINED)
_NO_DEVICE = type("NoDevice", (), {"state": device_pb2.DEVICE_STATE_UNSPECIFIED})()


def quick_job(
    model: artifact_pb2.ArtifactRef, seconds: float = 0.3, memory: bool = False, **changes: Any
) -> job_pb2.JobSpec:
    """A job that times for about so long."""
    latency = latency_spec(
        warmup_min_s=0.0, warmup_max_s=0.1, min_s=seconds, max_s=seconds + 0.1, half_width=1e-6, max_samples=1_000_000
    )
    return job_spec(measurement_spec(model, latency=latency, memory=memory, energy=False, **changes))


def descendants(pid: int) -> list[psutil.Process]:
    """All processes below this one."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def busy_worker(agent: subprocess.Popen[bytes]) -> psutil.Process:
    """The worker of an agent that measures: it holds the host's lock, or has used most processor time."""
    workers = [p for p in descendants(agent.pid) if "device_agent.worker" in p.cmdline()]
    assert workers, "the agent has no worker"
    # A spare one that starts up meanwhile may have used more time than one that has just begun.
    holder = HostLock().holder()
    return max(workers, key=lambda p: (p.pid == holder, sum(p.cpu_times()[:2])))


def _quietly(action: Callable[[], object]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        action()
