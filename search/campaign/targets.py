"""The devices that a campaign names, and whether they can deliver what it wants of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protos.gauntlet.v1 import fleet_pb2
from protos.gauntlet.v1.device_pb2 import DeviceDescription
from search.errors import SearchError
from search.objectives import Quantity


@dataclass(frozen=True)
class Target:
    """A device as the campaign names it.

    Attributes:
        name: as in the objectives, for example "local".
        device_id: set when the name is a device's.
        device_class: set when the name is a class.
    """

    name: str
    device_id: str = ""
    device_class: str = ""


def find_targets(names: Sequence[str], devices: Sequence[fleet_pb2.Device]) -> list[Target]:
    """The devices that objectives name, by id or class; without names, any device of the lab.

    Raises:
        SearchError: a name that is neither, with what exists.
    """
    if not devices:
        raise SearchError("the lab has no device", "start an agent: gauntlet-agent run --orchestrator ADDRESS")
    ids = {device.description.device_id for device in devices}
    classes = {device.description.device_class for device in devices}
    targets = []
    for name in names:
        if name in ids:
            targets.append(Target(name, device_id=name))
        elif name in classes:
            targets.append(Target(name, device_class=name))
        else:
            known = ", ".join(
                sorted(f"{d.description.device_id} (class {d.description.device_class})" for d in devices)
            )
            raise SearchError(f"no device or class {name!r} in the lab", f"there are: {known}")
    return targets or [Target(sorted(ids)[0], device_id=sorted(ids)[0])]


def check_deliverable(
    quantities: Sequence[Quantity], targets: Sequence[Target], devices: Sequence[fleet_pb2.Device]
) -> None:
    """Refuse an objective or a bound that none of its devices has a sensor for, before anything is trained.

    Args:
        quantities: plain ones.
        targets: of the campaign.
        devices: of the lab.

    Raises:
        SearchError: which, and why, in the device's own words.
    """
    for quantity in quantities:
        target = next((t for t in targets if t.name == quantity.device), None)
        if quantity.kind != "energy_j" or target is None:
            continue
        able = [d.description for d in devices if is_of(target, d)]
        reasons = [_why_not(description, quantity.kind) for description in able]
        if all(reasons):
            raise SearchError(f"no device can deliver {quantity}: {reasons[0]}", "leave it out, or name another device")


def check_metered(targets: Sequence[Target], devices: Sequence[fleet_pb2.Device]) -> None:
    """Refuse a bound on joules where nothing measures them.

    Raises:
        SearchError: no device of the campaign has a meter.
    """
    able = [d.description for d in devices if any(is_of(target, d) for target in targets)]
    reasons = [_why_not(description, "energy_j") for description in able]
    if all(reasons):
        raise SearchError(
            f"stop: energy_j: no device of the campaign has a meter: {reasons[0]}", "bound device_s instead"
        )


def is_of(target: Target, device: fleet_pb2.Device) -> bool:
    """Whether a campaign means this device by that name."""
    described = device.description
    return described.device_id == target.device_id or described.device_class == target.device_class


def _why_not(description: DeviceDescription, kind: str) -> str:
    """Why a device cannot sense a quantity; empty if it can."""
    sensors = [sensor for sensor in description.sensors if sensor.quantity == kind]
    if any(not sensor.unavailable for sensor in sensors):
        return ""
    return next((sensor.unavailable for sensor in sensors), f"{description.device_id} has no sensor for it")
