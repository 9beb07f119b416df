"""Where sessions, leases and the store meet: every message of an agent ends up here.

The pure parts decide (`jobs`, `devices`, `scheduler`), the store makes it durable, this class carries out. It runs on
one event loop; nothing in it blocks.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import grpc

from orchestrator import devices, failpoints, fitness, holds, intake, jobs
from orchestrator.artifacts import ArtifactError, ArtifactStore
from orchestrator.attachments import Attachments
from orchestrator.config import Config
from orchestrator.custody import Custody
from orchestrator.demands import Demand
from orchestrator.fairshare import FairShare
from orchestrator.hands import Hands
from orchestrator.intake import SessionRefusedError
from orchestrator.leases import Lease, Leases
from orchestrator.registry import Registry, Session
from orchestrator.scheduler import Assignment, Fleet, propose
from orchestrator.store.base import Applied, NewJob, Queued, Share, Store, StoreError, Submitted, Waiting
from orchestrator.watchers import Change, Watchers
from protos import contract, logs
from protos.blame import kind_name
from protos.gauntlet.v1 import agent_pb2, device_pb2, failure_pb2, fleet_pb2, measurement_pb2

log = logging.getLogger(__name__)


class Hub:
    """The live state of the orchestrator.

    Args:
        config: limits and durations.
        store: jobs and devices.
        artifacts: files.
        watchers: told of each job that changed.
    """

    def __init__(self, config: Config, store: Store, artifacts: ArtifactStore, watchers: Watchers) -> None:
        clock = asyncio.get_running_loop().time
        self.config = config
        self.store = store
        self.artifacts = artifacts
        self._attachments = Attachments(artifacts)
        self.watchers = watchers
        self.registry = Registry(clock)
        self.leases = Leases(config.lease_duration_s, clock)
        self.hands = Hands(clock)
        self.fair = FairShare(clock)
        #: The dispatcher waits for it: something may be assignable.
        self.kick = asyncio.Event()
        #: False: the queue was found empty, and nothing came into it since. Then there is no need to look.
        self.may_wait = True
        self.custody = Custody(
            self.registry,
            store,
            self.kick.set,
            self.hands.usual_s,
            config.quarantine,
            config.first_probe_s,
            clock,
        )
        #: The dispatcher is looking at the queue now.
        self.dispatching = False
        #: Steps of running jobs, as last reported.
        self.steps: dict[str, str] = {}
        self._clock = clock
        self._hello_lock = asyncio.Lock()

    async def load(self) -> None:
        """Take up what earlier lives left: devices, and leases that are still out, each with a full duration."""
        self.registry.load(await self.store.devices())
        self.custody.load()
        for held in await self.store.held():
            self.leases.grant(Lease(held.lease_id, held.job_id, held.device_id))
            self._take(held.lease_id, held.device_id, held.share)
        self.kick.set()

    # ------------------------------------------------------------------------------------------------ sessions

    async def open_session(self, hello: agent_pb2.Hello) -> Session:
        """Let an agent in.

        Raises:
            SessionRefusedError: it speaks another protocol, its ids are malformed or in use.
        """
        intake.check_hello(hello)
        async with self._hello_lock:  # two newcomers with one id are looked at one after the other
            await self._settle_incumbent(hello)
            self._check_devices_free(hello.agent.agent_id, hello.devices)
            self._check_room(hello.agent.agent_id, hello.devices)
            session = Session(hello.agent, hello.session_epoch, self._clock())
            await self.store.save_devices(hello.agent.agent_id, hello.devices)
            await self._settle_leases(hello)
            abandoned = [lease_id for lease_id in hello.held_lease_ids if lease_id not in self.leases]
            welcome = agent_pb2.Welcome(
                protocol_version=contract.PROTOCOL_VERSION,
                heartbeat_interval_s=self.config.heartbeat_interval_s,
                lease_duration_s=self.config.lease_duration_s,
                abandoned_lease_ids=abandoned,
            )
            session.send(welcome=welcome)  # before a lease can be sent
            self.registry.attach(session, hello.devices)
            await self.custody.attached(session)
        names = ", ".join(sorted(session.device_ids)) or "no device"
        log.info("agent %s joined with %s", session.agent_id, names, extra={"agent_id": session.agent_id})
        self.kick.set()
        return session

    async def close_session(self, session: Session, reason: str) -> None:
        """The connection is over, however it ended. Leases run on: the agent may come back with their results."""
        session.close(reason)
        self.registry.detach(session, session.closed_because)
        await self.custody.detached(session)
        why = session.goodbye or session.closed_because
        log.info("agent %s: %s", session.agent_id, why, extra={"agent_id": session.agent_id})
        if session.goodbye:
            for device_id in sorted(session.device_ids):
                for lease in reversed(self._leases_of(device_id)):
                    await self.end_lease(lease, jobs.Returned(lease.lease_id))

    async def handle(self, session: Session, request: agent_pb2.SessionRequest) -> None:
        """Carry out what an agent says after its hello.

        Raises:
            SessionRefusedError: it said something that makes no sense.
        """
        self.registry.hear(session, request.heartbeat.telemetry)
        kind = request.WhichOneof("event")
        if kind == "heartbeat":
            for lease_id in self.leases.renew(self._own(session.agent_id, request.heartbeat.held_lease_ids)):
                session.send(cancel_lease=agent_pb2.CancelLease(lease_id=lease_id))
        elif kind == "job_started":
            await self._started(session, request.job_started.lease_id)
        elif kind == "job_progress":
            self._progress(session, request.job_progress)
        elif kind == "job_finished":
            finished = request.job_finished
            with logs.known(job_id=finished.job_id, device_id=finished.device_id):
                # A connection that breaks ends its reader; what the store took must be carried through here, too.
                await asyncio.shield(self._finished(session, finished))
        elif kind == "fitness_report":
            with logs.known(device_id=request.fitness_report.check.device_id):
                await self._fitness(session, request.fitness_report)
        elif kind == "devices_changed":
            await self._devices_changed(session, request.devices_changed)
        elif kind == "goodbye":
            session.goodbye = f"left: {request.goodbye.reason[: intake.MAX_REASON]}"
            session.close(session.goodbye)
        elif kind != "pong":
            raise SessionRefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"unexpected message: {kind or 'empty'}")

    async def _settle_incumbent(self, hello: agent_pb2.Hello) -> None:
        """At most one live process has an agent's id: the one that answers."""
        incumbent = self.registry.session_of(hello.agent.agent_id)
        if incumbent is None:
            return
        if incumbent.epoch != hello.session_epoch and await incumbent.answers(self.config.incumbent_answer_s):
            raise SessionRefusedError(
                grpc.StatusCode.ALREADY_EXISTS,
                f"agent id {hello.agent.agent_id!r} is in use by a live agent on {incumbent.agent.hostname}\n"
                "give this one its own: gauntlet-agent run --agent-id NAME (a cloned card carries its original's id)",
            )
        await self.close_session(incumbent, "the agent connected anew")

    def _check_devices_free(self, agent_id: str, descriptions: Iterable[device_pb2.DeviceDescription]) -> None:
        for description in descriptions:
            other = self.registry.session_for(description.device_id)
            if other is not None and other.agent_id != agent_id:
                raise SessionRefusedError(
                    grpc.StatusCode.ALREADY_EXISTS,
                    f"device id {description.device_id!r} is attached by agent {other.agent_id}\n"
                    "give this device its own: gauntlet-agent run --device-id NAME",
                )
            # Where names are proved, a device stays with the agent that brought it first: nobody else measures under
            # its name while it is away.
            if self.config.secure and self.registry.belongs_elsewhere(agent_id, description.device_id):
                raise SessionRefusedError(
                    grpc.StatusCode.PERMISSION_DENIED,
                    f"device id {description.device_id!r} belongs to another agent\n"
                    "give this device its own: gauntlet-agent run --device-id NAME",
                )

    def _check_room(self, agent_id: str, descriptions: Iterable[device_pb2.DeviceDescription]) -> None:
        """Devices are kept for good: one agent does not enrol them without end."""
        if len(self.registry.enrolled_by(agent_id).union(d.device_id for d in descriptions)) > _MAX_DEVICES:
            raise SessionRefusedError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"agent {agent_id} has enrolled {_MAX_DEVICES} devices\nuse the ids again that it gave before",
            )

    async def _settle_leases(self, hello: agent_pb2.Hello) -> None:
        """Leases of its devices that the agent still holds go on; those that it lost go back to the queue at once."""
        held = set(hello.held_lease_ids)
        self.leases.renew(lease_id for lease_id in self._own(hello.agent.agent_id, held) if lease_id in self.leases)
        restarted = self.custody.is_new_process(hello.agent.agent_id, hello.session_epoch)
        for description in hello.devices:
            out = self._leases_of(description.device_id)
            lost = [lease for lease in out if lease.lease_id not in held]
            # What the process that ended had finished is still held; it worked on the next one. A lease that a living
            # process does not hold never reached it.
            begun = lost[:1] if restarted else []
            await self._lose(lost, begun, "came back without this job: it was restarted, or never received the lease")

    async def _devices_changed(self, session: Session, changed: agent_pb2.DevicesChanged) -> None:
        intake.check_devices(changed.devices)
        async with self._hello_lock:  # of two that claim one device, one gets it
            self._check_devices_free(session.agent_id, changed.devices)
            self._check_room(session.agent_id, changed.devices)
            await self.store.save_devices(session.agent_id, changed.devices)
            if session.closed_because:
                return  # the agent connected anew while this was on its way, and has said what it has
            before = set(session.device_ids)
            lost = {device_id: holds.line(reason) for device_id, reason in changed.lost.items()}
            gone = {
                device_id: lost.get(device_id, "") for device_id in self.registry.attach(session, changed.devices, lost)
            }
        for device_id, reason in sorted(gone.items()):
            log.info("device %s left: %s", device_id, reason or "taken off", extra={"device_id": device_id})
            await self.hand_back(device_id)  # what it worked on its agent reports as failed
        await self.custody.changed(session.device_ids - before, gone)
        self.kick.set()

    # ------------------------------------------------------------------------------------------------ jobs

    async def submit(self, new: Sequence[NewJob]) -> list[Submitted]:
        """Queue jobs; those that an idle device can take at once are leased in the same flush to disk.

        Raises:
            KeyConflictError, StoreError: nothing was queued.
        """
        waiting = [
            Waiting(job.job_id, job.signature, job.spec.priority, n, frozenset(), Share(job.user, job.spec.campaign_id))
            for n, job in enumerate(new)
        ]
        assignments = self.propose(waiting, {}) if self._settled else []
        # The writer works in the order in which it is given work: first the jobs, then their leases.
        submitting = asyncio.ensure_future(self.store.submit(new))
        leasing = [self.lease(assignment) for assignment in assignments]
        try:
            answers = await submitting
            failpoints.reach("submit.after_commit")
            return answers
        finally:
            await asyncio.gather(*leasing)
            if len(assignments) < len(new):
                self._queued()

    def _queued(self) -> None:
        """Something may have come into the queue: look at it."""
        self.may_wait = True
        self.kick.set()

    @property
    def _settled(self) -> bool:
        """Is all that waits known to fit no idle device? Then a new job can take one without overtaking another."""
        return not self.kick.is_set() and not self.dispatching

    def propose(self, waiting: Sequence[Waiting], room: Mapping[str, int]) -> list[Assignment]:
        """Which device should get which of these jobs: one for each that is idle, then as there is room."""
        fleet = Fleet(self.registry.idle(), room, self.registry.connected(), self._pool, self.fits)
        return propose(fleet, waiting, self.fair.round())

    def room(self) -> dict[str, int]:
        """Devices that should have more than one job, and how many more each."""
        takes = (devices.State.ONLINE, devices.State.BUSY)
        known = ((device_id, self.registry.device(device_id), room) for device_id, room in self.hands.room().items())
        return {device_id: room for device_id, device, room in known if device and device.state in takes}

    def fits(self, signature: str, device_id: str) -> bool:
        """Can the device do what the signature asks?"""
        return _demand(signature).misfit(self.registry.description(device_id)) is None

    def lease(self, assignment: Assignment) -> asyncio.Future[bool]:
        """Give a queued job to an idle device; False when it is no longer queued.

        The device is taken when this returns, not only when the store has decided: nobody else may count on it.
        """
        job = assignment.job
        lease = Lease(uuid.uuid4().hex, job.job_id, assignment.device_id, job)
        self._take(lease.lease_id, lease.device_id, job.share)
        return asyncio.ensure_future(self._lease(lease))

    async def _lease(self, lease: Lease) -> bool:
        lease_id, job_id, device_id = lease.lease_id, lease.job_id, lease.device_id
        applied: Applied | None = None
        try:
            applied = await self.store.apply(job_id, jobs.Leased(lease_id, device_id), whole=True)
        finally:
            if applied is None or applied.job is None:
                self._drop(lease_id, device_id, finished=False)
                self._queued()
        if applied is None or applied.job is None:
            return False
        failpoints.reach("lease.after_commit")
        self.leases.grant(lease)
        session = self.registry.session_for(device_id)
        if session is None:  # it left in the meantime
            await self.end_lease(lease, jobs.Returned(lease_id))
            return False
        spec = applied.job.spec.measurement
        files = self._attachments.of(session, spec)
        session.send(
            lease=agent_pb2.Lease(lease_id=lease_id, job_id=job_id, device_id=device_id, measurement=spec, files=files)
        )
        self.watchers.notify(job_id, Change(job=applied.job))
        return True

    async def end_lease(self, lease: Lease, event: jobs.Event) -> Applied | None:
        """Take a lease in, the job going through `event`; the device is free for what it has next."""
        applied = await self._apply(lease.job_id, event)
        self._released(lease)
        return applied

    async def lose(self, leases: Sequence[Lease], why: str) -> None:
        """Devices are lost with these leases: what each worked on has failed, what it had not begun goes back."""
        begun = [lease for lease in leases if self.hands.of(lease.device_id)[:1] == [lease.lease_id]]
        await self._lose(leases, begun, why)

    async def _lose(self, leases: Sequence[Lease], begun: Sequence[Lease], why: str) -> None:
        for lease in reversed(leases):
            failure = failure_pb2.Failure(
                kind=failure_pb2.FAILURE_KIND_DEVICE_LOST,
                message=f"device {lease.device_id} {why}",
                remedy="look at its agent: is it running, is the link up?",
            )
            failed = jobs.Failed(lease.lease_id, failure)
            await self.end_lease(lease, failed if lease in begun else jobs.Returned(lease.lease_id))

    async def hand_back(self, device_id: str) -> None:
        """What the device has not begun goes back to the queue, for others."""
        for lease in reversed(self._leases_of(device_id)[1:]):
            await self._take_back(lease)

    async def share_out(self) -> None:
        """For each device that is still idle, take back a job that another one has not begun."""
        spare: dict[str, list[tuple[Lease, Waiting]]] = defaultdict(list)
        for lease_ids in self.hands.behind().values():
            for lease_id in reversed(lease_ids):  # the last would wait longest
                lease = self.leases.get(lease_id)
                if lease is not None and lease.job is not None:
                    spare[lease.job.signature].append((lease, lease.job))
        for device_id in self.registry.idle() if spare else ():
            rows = [row for signature, row in spare.items() if self.fits(signature, device_id)]
            fitting = ((row, *found) for row in rows for found in row if device_id not in found[1].avoid)
            for row, lease, job in fitting:
                row.remove((lease, job))
                await self._take_back(lease)
                break

    async def _take_back(self, lease: Lease) -> None:
        if lease.lease_id not in self.hands.of(lease.device_id)[1:]:
            return  # begun, or over, while another one was taken back
        self._stop(lease)
        await self.end_lease(lease, jobs.Returned(lease.lease_id))

    def _stop(self, lease: Lease) -> None:
        """Nobody waits for its result."""
        session = self.registry.session_for(lease.device_id)
        if session is not None:
            session.send(cancel_lease=agent_pb2.CancelLease(lease_id=lease.lease_id))

    async def cancel(self, job_id: str, reason: str) -> bool:
        """End a job by a user's wish; False when it had ended or does not exist."""
        return await self._end(job_id, jobs.Cancelled(reason))

    async def end_late(self, job_id: str) -> bool:
        """End a job that took longer than it may, wherever it is; False when it had ended."""
        return await self._end(job_id, jobs.Late("not done within its deadline_s of being submitted"))

    async def _end(self, job_id: str, event: jobs.Event) -> bool:
        applied = await self._apply(job_id, event)
        if applied is None or applied.verdict != "applied":
            return False
        lease = self.leases.of_job(job_id)
        if lease is not None:
            self._stop(lease)
            self._released(lease)
        return True

    async def expire(self, job_id: str) -> None:
        """End a job that waited for longer than it allows."""
        await self._apply(job_id, jobs.Expired("waited in the queue for longer than its queue_timeout_s"))

    def _own(self, agent_id: str, lease_ids: Iterable[str]) -> list[str]:
        """Without the leases of other agents' devices: nobody speaks for those."""
        leases = {lease_id: self.leases.get(lease_id) for lease_id in lease_ids}
        return [i for i, lease in leases.items() if lease is None or self.registry.owns(agent_id, lease.device_id)]

    async def _started(self, session: Session, lease_id: str) -> None:
        lease = self.leases.get(lease_id)
        if lease is not None and self.registry.owns(session.agent_id, lease.device_id):
            await self._apply(lease.job_id, jobs.Started(lease_id))

    def _progress(self, session: Session, progress: agent_pb2.JobProgress) -> None:
        lease = self.leases.get(progress.lease_id)
        if lease is not None and self.registry.owns(session.agent_id, lease.device_id):
            self.steps[lease.job_id] = progress.step[:80]
            self.watchers.notify(lease.job_id, Change(stored=False))

    async def _finished(self, session: Session, finished: agent_pb2.JobFinished) -> None:
        event, result = intake.outcome(finished)
        lease = self.leases.get(finished.lease_id)
        # A device that is away now, as a phone may be, is still its agent's.
        if not self.registry.owns(session.agent_id, finished.device_id) or (
            lease is not None and (lease.device_id, lease.job_id) != (finished.device_id, finished.job_id)
        ):
            raise SessionRefusedError(
                grpc.StatusCode.INVALID_ARGUMENT, f"a result of device {finished.device_id[:80]!r}, which is not yours"
            )
        try:
            applied = await self._apply(finished.job_id, event, result, finished.files)
        except StoreError as error:
            # No acknowledgement: the agent keeps the result and offers it again.
            log.error("result of job %s not stored: %s", finished.job_id, error)
            return
        failpoints.reach("result.before_ack")
        disposition = _DISPOSITIONS["unknown" if applied is None else applied.verdict]
        session.send(finished_ack=agent_pb2.FinishedAck(lease_id=finished.lease_id, disposition=disposition))
        lease = self.leases.get(finished.lease_id)
        if lease is not None:
            self._released(lease, finished=True)

    async def _fitness(self, session: Session, report: agent_pb2.FitnessReport) -> None:
        try:
            fitness.check_report(report, session.device_ids)
        except fitness.InvalidReportError as error:
            raise SessionRefusedError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
        if any(lease_id in self.leases for lease_id in fitness.suspect_leases(report.check)):
            return  # a result that it judges is still on its way; not acknowledged, the report is offered again
        suspect = await self.store.record_fitness(report)
        new = self.registry.checked(report)
        session.send(fitness_ack=agent_pb2.FitnessAck(check_id=report.check.check_id))
        if suspect:
            log.warning(
                "suspect results of %s: %d (%s)", report.check.device_id, len(suspect), fitness.reason(report.check)
            )
            self._queued()
        if new:
            await self.custody.checked(report.check)

    async def _keep_files(self, job_id: str, files: Iterable[agent_pb2.AttachedFile]) -> None:
        for file in files:
            try:
                await self.artifacts.put(file.ref, file.content)
            except ArtifactError as error:
                log.warning("a file of job %s is not kept: %s", job_id, error)

    async def _apply(
        self,
        job_id: str,
        event: jobs.Event,
        result: measurement_pb2.MeasurementResult | None = None,
        files: Sequence[agent_pb2.AttachedFile] = (),
    ) -> Applied | None:
        """Take a job through an event, keep the files that came with it, and tell those who watch it."""
        storing = asyncio.ensure_future(self.store.apply(job_id, event, result, whole=job_id in self.watchers))
        if files:
            # Written while the writer waits for the disk. Should this process die between the two, the agent has no
            # acknowledgement: it offers the result again, with its files.
            await asyncio.sleep(0)
            await self._keep_files(job_id, files)
        applied = await storing
        if applied is not None:
            if applied.after.state is jobs.State.QUEUED:
                self._queued()
            if applied.after.state.is_final:
                self.steps.pop(job_id, None)
            self.watchers.notify(job_id, Change(job=applied.job))
            if applied.verdict == "applied":
                _log_failure(event, applied)
                await self.custody.applied(applied.before, event)
        return applied

    def _take(self, lease_id: str, device_id: str, share: Share) -> None:
        self.fair.lease(lease_id, self._pool(device_id), share)
        if self.hands.take(device_id, lease_id):
            self._work_on(lease_id, device_id)

    def _work_on(self, lease_id: str, device_id: str) -> None:
        self.registry.lease_granted(device_id, lease_id)
        self.fair.begin(lease_id)

    def _drop(self, lease_id: str, device_id: str, *, finished: bool) -> None:
        self.fair.end(lease_id, finished=finished)
        self.registry.lease_ended(device_id, lease_id)
        following = self.hands.drop(device_id, lease_id, finished=finished)
        if following is not None:
            self._work_on(following, device_id)

    def _released(self, lease: Lease, *, finished: bool = False) -> None:
        self.leases.end(lease.lease_id)
        self._drop(lease.lease_id, lease.device_id, finished=finished)
        self.steps.pop(lease.job_id, None)
        self.kick.set()

    def _leases_of(self, device_id: str) -> list[Lease]:
        """Those that are out, in the order in which its agent works on them."""
        return [lease for lease_id in self.hands.of(device_id) if (lease := self.leases.get(lease_id))]

    def _pool(self, device_id: str) -> str:
        return self.registry.description(device_id).device_class

    async def shares(self) -> list[fleet_pb2.QueueShare]:
        """What waits for each user and campaign, and what they have had lately."""
        queued, recent = await self.store.shares(), self.fair.recent()
        none = Queued(waiting=0, held=0)
        return [
            fleet_pb2.QueueShare(
                user=share.user,
                campaign_id=share.campaign_id,
                queued=queued.get(share, none).waiting,
                held=queued.get(share, none).held,
                device_s=recent.get(share, 0.0),
            )
            for share in sorted({*queued, *recent})
        ]

    def waits_for(self, signature: str) -> str:
        """Why no device takes the jobs of this signature now; empty: one does, even if it is busy."""
        return self.registry.waits_for(_demand(signature))

    def device_ids(self) -> list[str]:
        """Of all known devices, sorted."""
        return sorted(description.device_id for description in self.registry.descriptions())

    def device_view(self, device_id: str) -> fleet_pb2.Device:
        """How clients see a known device."""
        lease = self.leases.get(self.registry.lease_of(device_id) or "")
        view = self.registry.view(device_id, lease.job_id if lease else "")
        view.prefetched = len(self.hands.of(device_id)[1:])
        return view


#: Of one agent, in all.
_MAX_DEVICES = 1000


@lru_cache(maxsize=4096)
def _demand(signature: str) -> Demand:
    return Demand.parse(signature)


def _log_failure(event: jobs.Event, applied: Applied) -> None:
    failure = event.failure if isinstance(event, jobs.Failed) else applied.after.failure
    if failure is None or applied.after.state is jobs.State.CANCELLED:
        return
    job_id, device_id = applied.after.job_id, applied.before.device_id or ""
    where = f" on {device_id}" if device_id else ""
    then = "" if applied.after.state.is_final else "; tried again"
    what = " ".join(failure.message.split())[: intake.MAX_REASON]
    ids = {"job_id": job_id, "device_id": device_id}
    log.info("job %s failed%s: %s: %s%s", job_id, where, kind_name(failure.kind), what, then, extra=ids)


_DISPOSITIONS = {
    "applied": agent_pb2.DISPOSITION_COMMITTED,
    # The result that was committed came again: its acknowledgement was lost.
    "ignored": agent_pb2.DISPOSITION_COMMITTED,
    "superseded": agent_pb2.DISPOSITION_SUPERSEDED,
    "unknown": agent_pb2.DISPOSITION_REFUSED,
}
