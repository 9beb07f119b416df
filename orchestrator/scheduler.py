"""Who gets which job: a pure function of what waits, what is idle, and whose turn it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.fairshare import Round
from orchestrator.store.base import Share, Waiting


@dataclass(frozen=True)
class Assignment:
    """A job for a device."""

    job: Waiting
    device_id: str


@dataclass(frozen=True)
class Fleet:
    """The devices, as a distribution of jobs sees them.

    Attributes:
        idle: those that can begin a job now.
        room: how many jobs a device may hold beside the one that it works on or is about to begin.
        connected: idle and busy devices.
        pool: device → class of devices that is shared by itself.
        fits: (signature, device) → can the device serve it?
    """

    idle: Sequence[str]
    room: Mapping[str, int]
    connected: Collection[str]
    pool: Callable[[str], str]
    fits: Callable[[str, str], bool]


def propose(fleet: Fleet, waiting: Sequence[Waiting], turn: Round) -> list[Assignment]:
    """Give each idle device the most urgent job that it can do; then fill up those that have room for more.

    Highest priority first, among equals the one whose turn it is, then the oldest. A device that failed a job by its
    own fault gets it again only when no other connected device fits: one broken device must not use up a job's attempts
    while a sound one stands by. Nothing is given to a device ahead of need that an idle one could begin.

    Args:
        fleet: the devices.
        waiting: the first jobs of each signature and group, in any order.
        turn: whose turn it is.

    Returns:
        At most one assignment a job.
    """
    queues = _Queues(fleet, waiting)
    assignments = []
    fullest = max(fleet.room.values(), default=0)
    rounds = [fleet.idle, *([d for d, room in fleet.room.items() if room > n] for n in range(fullest))]
    for device_id in (device_id for devices in rounds for device_id in devices):
        offers = queues.offers(device_id)
        if not offers:
            continue
        urgent = max(job.priority for job in offers.values())
        candidates = [share for share, job in offers.items() if job.priority == urgent]
        job = offers[turn.choose(fleet.pool(device_id), offers.keys(), candidates)]
        queues.remove(job)
        assignments.append(Assignment(job, device_id))
    return assignments


class _Queues:
    """What waits, by signature and share."""

    def __init__(self, fleet: Fleet, waiting: Sequence[Waiting]) -> None:
        self._fleet = fleet
        self._queues: dict[str, dict[Share, list[Waiting]]] = defaultdict(lambda: defaultdict(list))
        for job in sorted(waiting, key=_order):
            self._queues[job.signature][job.share].append(job)

    def offers(self, device_id: str) -> dict[Share, Waiting]:
        """The first job of each share that the device may have."""
        offers: dict[Share, Waiting] = {}
        for signature, shares in self._queues.items():
            if self._fleet.fits(signature, device_id):
                for share, queue in shares.items():
                    job = next((job for job in queue if self._may_have(device_id, job)), None)
                    if job is not None and (share not in offers or _order(job) < _order(offers[share])):
                        offers[share] = job
        return offers

    def remove(self, job: Waiting) -> None:
        queue = self._queues[job.signature][job.share]
        queue.remove(job)
        if not queue:
            del self._queues[job.signature][job.share]

    def _may_have(self, device_id: str, job: Waiting) -> bool:
        if device_id not in job.avoid:
            return True
        others = (other for other in self._fleet.connected if other not in job.avoid)
        return not any(self._fleet.fits(job.signature, other) for other in others)


def _order(job: Waiting) -> tuple[int, int]:
    return -job.priority, job.sequence
