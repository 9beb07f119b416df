"""What each device has in hand, and how much more it should have, so that brief jobs are not bound by round trips.

    d1:  l1 ── l2 ── l3        l1 is worked on, the others wait in the agent

A device whose jobs take a second gains nothing by a second one: it would only keep it from another device.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from statistics import median

#: Work that a device may have ahead of it, and the most jobs that may be.
_AHEAD_S = 1.0
_DEEPEST = 8
#: Jobs whose median is what is usual: a fitness check before one of them changes nothing.
_LAST = 7


class Hands:
    """The leases of each device, in the order in which its agent works on them.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: dict[str, list[str]] = {}
        self._since: dict[str, float] = {}
        self._taken_s: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_LAST))

    def take(self, device_id: str, lease_id: str) -> bool:
        """The device has one more; True: nothing else comes first."""
        held = self._held.setdefault(device_id, [])
        held.append(lease_id)
        if len(held) == 1:
            self._since[device_id] = self._clock()
        return len(held) == 1

    def drop(self, device_id: str, lease_id: str, *, finished: bool) -> str | None:
        """The device has it no longer; the lease that it works on from now on, if that is another one than before.

        Args:
            device_id: the device.
            lease_id: what it had; one that it has not changes nothing.
            finished: it carried it out.
        """
        held = self._held.get(device_id, [])
        if lease_id not in held:
            return None
        was_first = held[0] == lease_id
        held.remove(lease_id)
        if not held:
            del self._held[device_id]
        if not was_first:
            return None
        now = self._clock()
        if finished:
            self._taken_s[device_id].append(now - self._since[device_id])
        self._since[device_id] = now
        return held[0] if held else None

    def of(self, device_id: str) -> list[str]:
        """Its leases; it works on the first."""
        return list(self._held.get(device_id, ()))

    def behind(self) -> dict[str, list[str]]:
        """Devices and their leases that nobody works on yet, most first."""
        laden = {device_id: held[1:] for device_id, held in self._held.items() if len(held) > 1}
        return dict(sorted(laden.items(), key=lambda item: -len(item[1])))

    def usual_s(self, device_id: str) -> float:
        """How long jobs took there lately; 0: none has ended yet."""
        return median(self._taken_s[device_id]) if device_id in self._taken_s else 0.0

    def room(self) -> dict[str, int]:
        """How many jobs each device should have beside its first: no more before half of them are done."""
        room = {}
        for device_id in self._taken_s:
            depth = min(_DEEPEST, int(_AHEAD_S / max(self.usual_s(device_id), 1e-3)))
            held = max(1, len(self._held.get(device_id, ())))
            if depth > 1 and held <= depth // 2:
                room[device_id] = depth - held
        return room
