"""Who gets which job: a pure function of what waits and what is idle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from orchestrator.store.base import Waiting


@dataclass(frozen=True)
class Assignment:
    """A job for a device."""

    job_id: str
    device_id: str


def propose(
    idle: Sequence[str],
    waiting: Sequence[Waiting],
    fits: Callable[[str, str], bool],
    connected: Collection[str],
) -> list[Assignment]:
    """Give each idle device the most urgent job that it can do.

    Highest priority first, then oldest. A device that failed a job by its own fault gets it again only when no other
    connected device fits: one broken device must not use up a job's attempts while a sound one stands by.

    Args:
        idle: devices that can take a job now.
        waiting: the first jobs of each signature, in any order.
        fits: (signature, device) → can the device serve it?
        connected: idle and busy devices.

    Returns:
        At most one assignment a device and a job.
    """
    queue = sorted(waiting, key=lambda job: (-job.priority, job.sequence))
    free = list(idle)
    assignments: list[Assignment] = []
    for job in queue:
        if not free:
            break
        candidates = [device for device in free if fits(job.signature, device)]
        preferred = [device for device in candidates if device not in job.avoid]
        if not preferred:
            elsewhere = any(device not in job.avoid and fits(job.signature, device) for device in connected)
            preferred = [] if elsewhere else candidates
        if preferred:
            assignments.append(Assignment(job.job_id, preferred[0]))
            free.remove(preferred[0])
    return assignments
