"""What a campaign wants of devices, and what they can deliver."""

from __future__ import annotations

import pytest

from protos.gauntlet.v1 import device_pb2, fleet_pb2
from search.campaign.targets import check_deliverable, check_metered, find_targets
from search.errors import SearchError
from search.objectives import Quantity


def board(name: str, *sensors: device_pb2.Sensor) -> fleet_pb2.Device:
    description = device_pb2.DeviceDescription(device_id=name, device_class="board", sensors=sensors)
    return fleet_pb2.Device(description=description)


BLIND = device_pb2.Sensor(quantity="energy_j", unavailable="no RAPL in this container")
SEEING = device_pb2.Sensor(quantity="energy_j", source="RAPL package-0")


def check(text: str, *devices: fleet_pb2.Device) -> None:
    quantity = Quantity.parse(text)
    check_deliverable([quantity], find_targets([quantity.device], devices), devices)


def test_an_objective_that_no_device_can_deliver_is_refused_in_the_devices_words() -> None:
    with pytest.raises(SearchError, match="no device can deliver energy_j@a: no RAPL in this container"):
        check("energy_j@a", board("a", BLIND))
    with pytest.raises(SearchError, match="a has no sensor for it"):
        check("energy_j@a", board("a"))


def test_one_device_of_a_class_that_can_is_enough() -> None:
    check("energy_j@board", board("a", BLIND), board("b", SEEING))
    check("energy_j@a", board("a", BLIND, SEEING))
    check("latency_s@a", board("a", BLIND))


def test_a_bound_on_joules_needs_a_meter() -> None:
    devices = [board("a", BLIND), board("b", SEEING)]
    check_metered(find_targets(["a", "b"], devices), devices)
    with pytest.raises(SearchError, match="no device of the campaign has a meter: no RAPL in this container"):
        check_metered(find_targets(["a"], devices), devices)
