"""The agent: stays connected, takes leases, delivers what is finished until it is acknowledged.

    connect ──hello──▶ welcome ──▶ heartbeats · leases · results ──break──▶ back off, with jitter ──▶ connect …

Measurements do not notice a broken connection: they run on, their results wait in the spool.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

import grpc

from device_agent.runner import DeviceRunner, gone
from device_agent.spool import Spool
from device_agent.uplink import Stream, Uplink
from device_agent.waiting import within
from protos import artifacts, contract
from protos.gauntlet.v1 import agent_pb2, device_pb2

log = logging.getLogger(__name__)

_WELCOME_TIMEOUT_S = 10.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 10.0
#: A result that nobody acknowledged is offered again after this long.
_OFFER_AGAIN_S = 5.0
_GOODBYE_TIMEOUT_S = 1.0
#: Files up to this size ride along with the result, an upload of their own costs a round trip; but not many of them, or
#: else the message becomes too large.
_ATTACH_BYTES = 256 * 1024
_ATTACH_TOGETHER_BYTES = 1024 * 1024

Telemetry = Callable[[], Sequence[device_pb2.DeviceTelemetry]]


class Status(NamedTuple):
    """How an agent stands.

    Attributes:
        connected: it has a session.
        unsent: ended jobs that the orchestrator has not acknowledged.
        devices: each with whether it holds a job.
    """

    connected: bool
    unsent: int
    devices: List[Tuple[device_pb2.DeviceDescription, bool]]


class Agent:
    """An agent and its devices.

    Args:
        description: the agent.
        epoch: identifies this process.
        uplink: the channel.
        spool: finished jobs.
        telemetry: read at each heartbeat.
    """

    def __init__(
        self, description: device_pb2.AgentDescription, epoch: str, uplink: Uplink, spool: Spool, telemetry: Telemetry
    ) -> None:
        self._description = description
        self._epoch = epoch
        self._uplink = uplink
        self._spool = spool
        self._telemetry = telemetry
        self._runners: Dict[str, DeviceRunner] = {}
        self._running = False
        self._connected = False
        self._stream: Optional[Stream] = None
        self._deliveries: Set[asyncio.Task[None]] = set()
        self._offered: Set[str] = set()
        self._pause_s = _FIRST_PAUSE_S
        self._lease_duration_s = _LONGEST_PAUSE_S
        self._connected_until = -math.inf

    def add_device(self, runner: DeviceRunner) -> None:
        """Own a device: one of those that it begins with, or one that was plugged in."""
        self._runners[runner.description.device_id] = runner
        if self._running:
            runner.start()
            self._send(devices_changed=agent_pb2.DevicesChanged(devices=self._descriptions()))

    async def remove_device(self, device_id: str, reason: str) -> None:
        """A device is gone; changes nothing when it was not there.

        Args:
            device_id: of the device.
            reason: what became of it.
        """
        runner = self._runners.pop(device_id, None)
        if runner is not None:
            # First of all: it shall get no job for that which now fails.
            changed = agent_pb2.DevicesChanged(devices=self._descriptions(), lost={device_id: reason})
            self._send(devices_changed=changed)
            await runner.lose(reason)

    async def run(self) -> None:
        """Stay connected until cancelled; then say goodbye and stop the measurements."""
        self._running = True
        for runner in self._runners.values():
            runner.start()
        try:
            while True:
                self._stream = self._uplink.session()
                try:
                    await self._session(self._stream)
                except (grpc.aio.AioRpcError, asyncio.TimeoutError):
                    await self._log_end(self._stream)
                finally:
                    self._stream.close()
                    self._stream = None
                await asyncio.sleep(self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret
                self._pause_s = min(self._pause_s * 2, self._longest_pause_s())
        finally:
            for runner in self._runners.values():
                await runner.close()

    def status(self) -> Status:
        """How it stands now; may be asked in any thread."""
        runners = list(self._runners.values())
        return Status(
            self._connected, len(self._spool.all()), [(runner.description, bool(runner.held())) for runner in runners]
        )

    def _longest_pause_s(self) -> float:
        """Who may hold leases hurries, for they run out: also one that was on its way when the link broke."""
        may_hold = self._held() or time.monotonic() - self._connected_until < self._lease_duration_s
        return min(_LONGEST_PAUSE_S, self._lease_duration_s / 8) if may_hold else _LONGEST_PAUSE_S

    async def reconnect(self) -> None:
        """End the session, not the measurements, and begin another at once, over the uplink's present connection."""
        if self._stream is not None:
            await self._stream.finish()

    async def goodbye(self, reason: str) -> None:
        """Tell the orchestrator that what is held goes back to the queue."""
        if self._stream is not None:
            self._stream.send(goodbye=agent_pb2.Goodbye(reason=reason))
            await self._stream.flush(_GOODBYE_TIMEOUT_S)

    # ------------------------------------------------------------------------------------------------ events of runners

    def started(self, lease_id: str) -> None:
        """See `runner.Events`."""
        self._send(job_started=agent_pb2.JobStarted(lease_id=lease_id))

    def progress(self, lease_id: str, step: str) -> None:
        """See `runner.Events`."""
        self._send(job_progress=agent_pb2.JobProgress(lease_id=lease_id, step=step))

    def finished(self, finished: agent_pb2.JobFinished, files: Optional[Path]) -> None:
        """See `runner.Events`."""
        self._spool.put(finished, files)
        if self._stream is not None:
            self._offer(finished)

    def checked(self, report: agent_pb2.FitnessReport) -> None:
        """A device was checked; its history keeps the report until it is acknowledged."""
        if self._stream is not None:
            self._offered.add(report.check.check_id)
        self._send(fitness_report=report)

    # ------------------------------------------------------------------------------------------------ one session

    async def _session(self, stream: Stream) -> None:
        stream.send(hello=self._hello())
        first = await within(stream.receive(), _WELCOME_TIMEOUT_S)
        if first is None or first.WhichOneof("command") != "welcome":
            return
        log.info("connected as %s", self._description.agent_id)
        self._pause_s = _FIRST_PAUSE_S
        self._lease_duration_s = first.welcome.lease_duration_s
        self._offered.clear()
        for lease_id in first.welcome.abandoned_lease_ids:
            self._abandon(lease_id)
        beat = asyncio.ensure_future(self._beat(stream, first.welcome.heartbeat_interval_s))
        again = asyncio.ensure_future(self._offer_again())
        self._connected = True
        try:
            while (command := await stream.receive()) is not None:
                self._obey(command)
        finally:
            self._connected = False
            self._connected_until = time.monotonic()
            beat.cancel()
            again.cancel()

    def _obey(self, command: agent_pb2.SessionResponse) -> None:
        kind = command.WhichOneof("command")
        if kind == "lease":
            runner = self._runners.get(command.lease.device_id)
            if runner is None:
                self._decline(command.lease)
            elif command.lease.lease_id not in self._spool.all():
                runner.accept(command.lease)
        elif kind == "cancel_lease":
            self._abandon(command.cancel_lease.lease_id)
        elif kind == "finished_ack":
            self._spool.remove(command.finished_ack.lease_id)
            self._offered.discard(command.finished_ack.lease_id)
        elif kind == "fitness_ack":
            for runner in self._runners.values():
                runner.care.acknowledged(command.fitness_ack.check_id)
            self._offered.discard(command.fitness_ack.check_id)
        elif kind == "request_check":
            runner = self._runners.get(command.request_check.device_id)
            report = runner.check() if runner is not None else None
            if report is not None:
                self.checked(report)
        elif kind == "ping":
            self._send(pong=agent_pb2.Pong(nonce=command.ping.nonce))

    def _decline(self, lease: agent_pb2.Lease) -> None:
        """It was on its way when its device left."""
        finished = agent_pb2.JobFinished(lease_id=lease.lease_id, job_id=lease.job_id, device_id=lease.device_id)
        finished.failure.CopyFrom(gone(lease.device_id, "it left when the job was on its way"))
        self.finished(finished, None)

    def _abandon(self, lease_id: str) -> None:
        """Stop a measurement that nobody waits for; one that is finished is still delivered."""
        for runner in self._runners.values():
            runner.cancel(lease_id)

    async def _beat(self, stream: Stream, interval_s: float) -> None:
        sequence = 0
        while True:
            sequence += 1
            beat = agent_pb2.Heartbeat(
                sequence=sequence, held_lease_ids=self._held(), telemetry=await asyncio.to_thread(self._telemetry)
            )
            stream.send(heartbeat=beat)
            await asyncio.sleep(interval_s)

    def _hello(self) -> agent_pb2.Hello:
        return agent_pb2.Hello(
            protocol_version=contract.PROTOCOL_VERSION,
            agent=self._description,
            devices=self._descriptions(),
            session_epoch=self._epoch,
            held_lease_ids=self._held(),
        )

    def _descriptions(self) -> List[device_pb2.DeviceDescription]:
        return [runner.description for runner in self._runners.values()]

    def _held(self) -> List[str]:
        running = [lease_id for runner in self._runners.values() for lease_id in runner.held()]
        return running + [lease_id for lease_id in self._spool.all() if lease_id not in running]

    # ------------------------------------------------------------------------------------------------ delivery

    def _offer(self, finished: agent_pb2.JobFinished) -> None:
        self._offered.add(finished.lease_id)
        task = asyncio.ensure_future(self._deliver(finished))
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    async def _offer_again(self) -> None:
        """Offer what is spooled now, and later what an offer was not answered for."""
        while True:
            for lease_id, finished in self._spool.all().items():
                if lease_id not in self._offered:
                    self._offer(finished)
            for runner in self._runners.values():
                for check_id, report in runner.care.reports().items():
                    if check_id not in self._offered:
                        self.checked(report)
            await asyncio.sleep(_OFFER_AGAIN_S)
            if not self._deliveries:
                self._offered.clear()

    async def _deliver(self, finished: agent_pb2.JobFinished) -> None:
        """Large files first, then the message: a result never names a file that the orchestrator lacks."""
        message = agent_pb2.JobFinished()
        message.CopyFrom(finished)
        try:
            await self._send_files(message)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                return  # offered again once connected
            log.error("files of job %s not taken: %s", finished.job_id, error.details())
            _forget_files(message, error.details() or error.code().name)
        self._send(job_finished=message)

    async def _send_files(self, message: agent_pb2.JobFinished) -> None:
        """Attach small files to the message, upload large ones."""
        large, room = [], _ATTACH_TOGETHER_BYTES
        for ref in artifacts.made(message.result):
            path = self._spool.file(message.lease_id, ref.digest)
            if path is None:
                _forget_files(message, "they were lost on the agent's disk")
                return
            if ref.size_bytes <= min(_ATTACH_BYTES, room):
                room -= ref.size_bytes
                message.files.add(ref=ref, content=path.read_bytes())
            else:
                large.append((ref, path))
        if large:
            await self._uplink.upload(large)

    def _send(self, **event: object) -> None:
        """Send if connected; what matters is said again in the next hello or offer."""
        if self._stream is not None:
            self._stream.send(**event)

    async def _log_end(self, stream: Stream) -> None:
        code, details = await stream.refusal()
        if code is grpc.StatusCode.UNAVAILABLE:
            # Said once, not at each of the attempts that follow.
            log.log(logging.INFO if self._pause_s == _FIRST_PAUSE_S else logging.DEBUG, "not connected: %s", details)
        else:
            log.error("session ended: %s", details.replace("\n", "; ") or code.name)
            self._pause_s = _LONGEST_PAUSE_S


def _forget_files(finished: agent_pb2.JobFinished, reason: str) -> None:
    """Deliver the figures without the files, and say so."""
    del finished.files[:]
    artifacts.forget_made(finished.result)
    finished.result.provenance.remarks.append(f"raw samples not kept: {reason}")
