"""Phones that come, go, flap and look alike."""

from __future__ import annotations

from typing import Dict, List, Set, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.bridge.discovery import ANEW, FLAPPING_S, GONE, MOST_SETTLE_S, SETTLE_S, Tracker, file_name
from device_agent.bridge.listing import Attached


def a_phone(serial: str = "4A2B", usb: str = "1-1", transport: str = "1", state: str = "device") -> Attached:
    return Attached(serial, state, transport, {"usb": usb})


def came(tracker: Tracker, listed: List[Attached], now_s: float) -> List[str]:
    return [key for key, _ in tracker.see(listed, now_s).came]


def test_what_is_there_at_the_start_comes_at_once_and_only_once() -> None:
    tracker = Tracker({})
    assert came(tracker, [a_phone(), a_phone("77", "1-2", "2")], 0.0) == ["4A2B", "77"]
    assert came(tracker, [a_phone(), a_phone("77", "1-2", "2")], 1.0) == []


def test_what_is_unplugged_leaves_at_once_and_comes_back_when_it_is_steady() -> None:
    tracker = Tracker({})
    tracker.see([a_phone()], 0.0)
    assert tracker.see([], 1.0).left == [("4A2B", GONE)]
    assert tracker.see([], 2.0).left == []
    again = [a_phone(transport="2")]
    assert came(tracker, again, 3.0) == []
    assert came(tracker, again, 3.0 + SETTLE_S) == ["4A2B"]


def test_a_link_that_broke_between_two_looks_is_noticed_by_the_new_attachment() -> None:
    tracker = Tracker({})
    tracker.see([a_phone()], 0.0)
    changes = tracker.see([a_phone(transport="2")], 1.0)
    assert changes.left == [("4A2B", ANEW)]
    assert changes.came == []


def test_what_adb_learns_of_a_phone_later_is_no_new_attachment() -> None:
    tracker = Tracker({})
    tracker.see([a_phone()], 0.0)
    described = Attached("4A2B", "device", "1", {"usb": "1-1", "model": "Pixel_8"})
    assert tracker.see([described], 1.0).left == []


def test_a_flapping_link_comes_back_later_each_time_and_is_forgiven_in_the_end() -> None:
    tracker, now_s, waits = Tracker({}), 0.0, []
    tracker.see([a_phone(transport="0")], now_s)
    for number in range(1, 9):
        tracker.see([], now_s + 1)
        now_s = began_s = now_s + 2
        while not came(tracker, [a_phone(transport=str(number))], now_s):
            now_s += 1.0
        waits.append(now_s - began_s)
    assert waits == sorted(waits)
    assert waits[0] == SETTLE_S
    assert waits[-1] == MOST_SETTLE_S
    tracker.see([], now_s + 1)
    assert came(tracker, [a_phone(transport="99")], now_s + 10_000) == ["4A2B"]


def test_a_phone_that_is_no_use_now_leaves_with_its_state_and_is_told_once() -> None:
    tracker = Tracker({})
    tracker.see([a_phone()], 0.0)
    changes = tracker.see([a_phone(state="unauthorized")], 1.0)
    assert changes.left == [("4A2B", "unauthorized")]
    assert [notice.split("\n")[0] for notice in changes.notices] == ["phone 4A2B (usb:1-1): unauthorized"]
    assert tracker.see([a_phone(state="unauthorized")], 2.0).notices == []
    tracker.see([a_phone()], 3.0)
    assert tracker.see([a_phone(state="unauthorized")], 4.0).notices


def test_of_two_phones_with_one_serial_none_is_used_and_the_remedy_is_to_name_their_ports() -> None:
    tracker = Tracker({})
    tracker.see([a_phone("0123")], 0.0)
    changes = tracker.see([a_phone("0123"), a_phone("0123", "1-2", "2"), a_phone("77", "1-3", "3")], 1.0)
    assert changes.left == [("0123", "another phone shows the serial number 0123, too")]
    assert [key for key, _ in changes.came] == ["77"]
    assert changes.notices == [
        "2 phones show the serial number 0123: at usb:1-1, usb:1-2; none of them is used\n"
        "name them by their ports: --phone usb:1-1=NAME --phone usb:1-2=NAME"
    ]


def test_named_by_their_ports_both_are_used() -> None:
    tracker = Tracker({"usb:1-1": "left", "usb:1-2": "right"})
    changes = tracker.see([a_phone("0123"), a_phone("0123", "1-2", "2")], 0.0)
    assert [key for key, _ in changes.came] == ["usb:1-1", "usb:1-2"]
    assert changes.notices == []


@pytest.mark.parametrize("serial", ["(no serial number)", "????????????"])
def test_a_phone_without_a_serial_number_needs_a_name(serial: str) -> None:
    changes = Tracker({}).see([a_phone(serial)], 0.0)
    assert changes.came == []
    assert "phones without a serial number at usb:1-1; none of them is used" in changes.notices[0]
    assert [key for key, _ in Tracker({"usb:1-1": "x"}).see([a_phone(serial)], 0.0).came] == ["usb:1-1"]


def test_what_failed_to_attach_is_tried_again_later() -> None:
    tracker = Tracker({})
    tracker.see([a_phone()], 0.0)
    tracker.failed("4A2B", 60.0)
    assert came(tracker, [a_phone()], 59.0) == []
    assert came(tracker, [a_phone()], 60.0) == ["4A2B"]


def test_what_was_lost_otherwise_settles_anew_and_does_not_leave_twice() -> None:
    tracker = Tracker({})
    tracker.see([a_phone()], 0.0)
    tracker.lost("4A2B", 1.0)
    changes = tracker.see([a_phone()], 1.5)
    assert (changes.came, changes.left) == ([], [])
    assert came(tracker, [a_phone()], 1.5 + SETTLE_S) == ["4A2B"]


def test_phones_that_never_come_back_are_forgotten() -> None:
    tracker = Tracker({})
    for number in range(100):  # adb over the network names a phone by a port that is another one each time
        tracker.see([a_phone(f"10.0.0.7:{number}")], 2.0 * FLAPPING_S * number)
    assert len(tracker._departures) == 1


_LISTING = st.lists(
    st.builds(
        a_phone,
        serial=st.sampled_from(["A", "B", "(no serial number)"]),
        usb=st.sampled_from(["1-1", "1-2", "1-3"]),
        transport=st.sampled_from(["1", "2", "3"]),
        state=st.sampled_from(["device", "device", "offline", "unauthorized"]),
    ),
    max_size=3,
)


@given(st.lists(st.tuples(_LISTING, st.floats(0.1, 30.0)), max_size=30), st.booleans())
def test_whatever_is_listed_a_phone_comes_and_leaves_in_turns(
    steps: List[Tuple[List[Attached], float]], named: bool
) -> None:
    tracker, now_s = Tracker({"usb:1-3": "third"} if named else {}), 0.0
    there: Dict[str, Attached] = {}
    for listed, passed_s in steps:
        now_s += passed_s
        changes = tracker.see(listed, now_s)
        for key, reason in changes.left:
            assert reason
            there.pop(key)  # it was there
        for key, attached in changes.came:
            assert key not in there
            there[key] = attached
        usable: Set[str] = {phone.serial for phone in listed if phone.state == "device"}
        assert all(attached.serial in usable for attached in there.values())


@given(_LISTING, st.lists(st.tuples(_LISTING, st.floats(0.1, 5.0)), max_size=10))
def test_what_stays_is_taken_in_the_end(last: List[Attached], before: List[Tuple[List[Attached], float]]) -> None:
    tracker, now_s, there = Tracker({}), 0.0, set()
    for listed, passed_s in [*before, (last, 1.0), (last, 2 * MOST_SETTLE_S)]:
        now_s += passed_s
        changes = tracker.see(listed, now_s)
        there -= {key for key, _ in changes.left}
        there |= {key for key, _ in changes.came}
    serials = [phone.serial for phone in last if phone.state == "device"]
    assert there == {serial for serial in serials if serials.count(serial) == 1 and serial != "(no serial number)"}


@given(st.text(), st.text())
def test_every_phone_has_files_of_its_own(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) is (one == other)
    assert "/" not in file_name(one)
    assert len(file_name(one)) < 100
