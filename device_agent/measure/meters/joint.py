"""Several meters as one, where what they cover lies side by side: a processor and a graphics board."""

from __future__ import annotations

import contextlib
from typing import Optional, Sequence

from device_agent.measure.meters.base import ACCELERATOR, Facts, Look, Meter, MeterError, Reading


class JointMeter:
    """Sum of meters that do not overlap.

    Args:
        meters: at least one; all can be read.
    """

    unavailable = ""

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = meters
        facts = [meter.facts for meter in meters]
        self.facts = Facts(
            source=" + ".join(fact.source for fact in facts),
            covers=ACCELERATOR,
            counted=tuple(rail for fact in facts for rail in fact.counted),
            apart=tuple(rail for fact in facts for rail in fact.apart),
            step_j=sum(fact.step_j for fact in facts),
            step_w=sum(fact.step_w for fact in facts),
            update_s=max(fact.update_s for fact in facts),
            origin=max(fact.origin for fact in facts),
            remark="; ".join(f"{fact.source}: {fact.remark}" for fact in facts if fact.remark),
        )

    def start(self) -> None:
        """See `Meter`."""
        with contextlib.ExitStack() as started:
            for meter in self._meters:
                meter.start()
                started.callback(_abandon, meter)
            started.pop_all()

    def look(self) -> Look:
        """See `Meter`."""
        looks = [meter.look() for meter in self._meters]
        return Look(sum(look.energy_j for look in looks), looks[0].seconds)

    def stop(self) -> Reading:
        """See `Meter`."""
        with contextlib.ExitStack() as running:
            # Where one fails, the others must end all the same: no thread goes on.
            for meter in self._meters:
                running.callback(_abandon, meter)
            readings = [meter.stop() for meter in self._meters]
            running.pop_all()
        return Reading(
            energy_j=sum(reading.energy_j for reading in readings),
            seconds=readings[0].seconds,
            resolution_j=sum(reading.resolution_j for reading in readings),
            rails={rail: energy_j for reading in readings for rail, energy_j in reading.rails.items()},
            wraps=sum(reading.wraps for reading in readings),
        )

    def power_w(self) -> Optional[float]:
        """See `Meter`."""
        powers = [power_w for power_w in (meter.power_w() for meter in self._meters) if power_w is not None]
        return sum(powers) if len(powers) == len(self._meters) else None


def _abandon(meter: Meter) -> None:
    with contextlib.suppress(MeterError):
        meter.stop()
