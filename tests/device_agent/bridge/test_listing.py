"""What `adb devices -l` says, in all its moods."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.bridge.listing import Attached, parse_devices, trouble

_LISTING = """\
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
4A2B                   device usb:1-1 product:shiba model:Pixel_8 device:shiba transport_id:1
77                     unauthorized usb:1-3 transport_id:2
0123456789AB           no permissions (user in plugdev group; are your udev rules wrong?); see \
[http://developer.android.com/tools/device.html] usb:1-1.2 transport_id:3
????????????           no permissions; see [http://developer.android.com/tools/device.html] usb:3-2
127.0.0.1:5555         offline transport_id:12
(no serial number)     device usb:1-9 transport_id:4
R3                     device
"""


def test_every_line_is_a_phone_with_its_state_and_port() -> None:
    found = parse_devices(_LISTING)
    assert [(phone.serial, phone.state, phone.usb, phone.transport_id) for phone in found] == [
        ("4A2B", "device", "usb:1-1", "1"),
        ("77", "unauthorized", "usb:1-3", "2"),
        ("0123456789AB", "no permissions", "usb:1-1.2", "3"),
        ("????????????", "no permissions", "usb:3-2", ""),
        ("127.0.0.1:5555", "offline", "", "12"),
        ("(no serial number)", "device", "usb:1-9", "4"),
        ("R3", "device", "", ""),
    ]
    assert found[0].properties["model"] == "Pixel_8"


def test_news_of_the_server_among_the_lines_is_no_phone() -> None:
    text = "List of devices attached\n* daemon still not running\nadb server version (41) doesn't match this client\n\n"
    assert parse_devices(text) == []


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    parse_devices(text)
    for phone in parse_devices("List of devices attached\n" + text):
        assert phone.serial
        assert phone.state


def test_no_permission_names_the_udev_rule_with_the_vendor_of_that_port(tmp_path: Path) -> None:
    folder = tmp_path / "sys/bus/usb/devices/1-1.2"
    folder.mkdir(parents=True)
    (folder / "idVendor").write_text("04e8\n")
    phone = parse_devices(_LISTING)[2]
    message, remedy = trouble(phone, tmp_path).split("\n")
    assert message == "phone 0123456789AB (usb:1-1.2): no permission to open its USB port"
    assert 'SUBSYSTEM=="usb", ATTR{idVendor}=="04e8", MODE="0660", GROUP="plugdev"' in remedy


@pytest.mark.parametrize("content", [None, "", "zz", "04e8 04e8"])
def test_without_the_vendor_the_rule_says_where_to_find_it(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        folder = tmp_path / "sys/bus/usb/devices/1-1.2"
        folder.mkdir(parents=True)
        (folder / "idVendor").write_text(content)
    assert "lsusb" in trouble(parse_devices(_LISTING)[2], tmp_path)


def test_a_port_that_is_no_port_reads_no_file(tmp_path: Path) -> None:
    (tmp_path / "idVendor").write_text("04e8")
    phone = Attached("1", "no permissions", "", {"usb": "../../../.."})
    assert "04e8" not in trouble(phone, tmp_path / "sys/bus/usb/devices")


@pytest.mark.parametrize(
    ("state", "remedy"),
    [
        ("unauthorized", "confirm «Allow USB debugging»"),
        ("offline", "plug it in again"),
        ("recovery", "let it start Android"),
        ("sideload", "let it start Android"),
        ("something new", "plug it in again"),
    ],
)
def test_each_state_has_one_line_and_a_remedy(state: str, remedy: str) -> None:
    lines = trouble(Attached("77", state, "2", {"usb": "1-3"})).split("\n")
    assert lines[0] == f"phone 77 (usb:1-3): {state}"
    assert remedy in lines[1]
    assert len(lines) == 2


def test_a_phone_on_the_network_that_is_offline_is_connected_anew() -> None:
    phone = Attached("192.168.7.31:5555", "offline", "2", {})
    assert trouble(phone).endswith("\nadb disconnect 192.168.7.31:5555; adb connect 192.168.7.31:5555")


def test_a_phone_that_is_ready_is_no_trouble() -> None:
    assert trouble(Attached("77", "device", "2", {})) == ""
