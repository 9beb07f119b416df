"""What a phone's services tell of battery, heat and screen, in the forms that are about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.bridge import vitals
from device_agent.bridge.gates import Unfit, unfit
from device_agent.bridge.vitals import Battery, Heat

_BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  status: 2
  health: 2
  present: true
  level: 45
  scale: 100
  voltage: 4193
  temperature: 312
  technology: Li-ion
"""
# Of the form that a Samsung with Android 12 shows (android.stackexchange.com, question 246774).
_HEAT = """\
IsStatusOverride: false
ThermalStatusListeners:
	callbacks: 4
Thermal Status: 1
Cached temperatures:
	Temperature{mValue=99.0, mType=0, mName=AP, mStatus=0}
HAL Ready: true
Current temperatures from HAL:
	Temperature{mValue=25.6, mType=0, mName=AP, mStatus=0}
	Temperature{mValue=27.5, mType=0, mName=BIG, mStatus=0}
	Temperature{mValue=23.8, mType=2, mName=BAT, mStatus=0}
	Temperature{mValue=24.7, mType=3, mName=LRB, mStatus=0}
	Temperature{mValue=0.0, mType=3, mName=SUBBAT, mStatus=0}
	Temperature{mValue=1273.0, mType=0, mName=broken, mStatus=0}
Current cooling devices from HAL:
	CoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}
"""


def test_the_battery_tells_charge_heat_and_what_feeds_it() -> None:
    found = vitals.parse_battery(_BATTERY)
    assert found == Battery(0.45, 31.2, "charging", ("USB",))


def test_a_battery_that_somebody_made_up_says_so() -> None:
    text = _BATTERY.replace("state:\n", "state:\n  (UPDATES STOPPED -- use 'reset' to restart)\n")
    assert vitals.parse_battery(text).made_up


@pytest.mark.parametrize(
    ("old", "new"),
    [("level: 45", "level: -1"), ("level: 45", "level: many"), ("scale: 100", "scale: 0"), ("level: 45", "level: 450")],
)
def test_a_charge_that_makes_no_sense_is_unknown(old: str, new: str) -> None:
    assert vitals.parse_battery(_BATTERY.replace(old, new)).ratio is None


def test_heat_is_what_the_hardware_tells_now_without_sensors_that_tell_nothing() -> None:
    assert vitals.parse_heat(_HEAT) == Heat(1, False, 27.5, 24.7)


@pytest.mark.parametrize("text", ["", "Can't find service: thermalservice", "Thermal Status: 9", "Thermal Status: hot"])
def test_where_the_status_cannot_be_had_it_is_unknown(text: str) -> None:
    assert vitals.parse_heat(text) == Heat()


def test_the_screen_the_disk_and_the_properties() -> None:
    assert vitals.parse_wakefulness("  mWakefulness=Dozing\n") == "Dozing"
    assert vitals.parse_wakefulness("nothing") == ""
    table = "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/block/dm-9 110000 100 2048 1% /data\n"
    assert vitals.parse_free_bytes(table) == 2048 * 1024
    assert vitals.parse_free_bytes("df: /data: Permission denied") is None
    assert vitals.parse_properties("[ro.a]: [b c]\r\n[ro.empty]: []\nnoise\n") == {"ro.a": "b c", "ro.empty": ""}


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    for parse in (
        vitals.parse_battery,
        vitals.parse_heat,
        vitals.parse_wakefulness,
        vitals.parse_free_bytes,
        vitals.parse_properties,
    ):
        parse(text)


@pytest.mark.parametrize(
    ("battery", "heat", "timed", "expected"),
    [
        (Battery(0.8, 28.0, "charging"), Heat(0), True, None),
        (Battery(), Heat(), True, None),
        (Battery(0.12, 28.0, "discharging"), Heat(0), False, ("at 12 %, less than 30 % (discharging)", False)),
        (Battery(0.8), Heat(1, False, None, 41.5), True, ("thermal status is 1 (light) at 41.5 °C", True)),
        (Battery(0.8), Heat(3), False, None),
        (Battery(0.8, 43.1), Heat(0), True, ("43.1 °C, more than 40 °C", True)),
        (Battery(0.8, made_up=True), Heat(0), True, ("adb shell dumpsys battery reset", False)),
        (Battery(0.8), Heat(0, made_up=True), False, ("adb shell cmd thermalservice reset", False)),
    ],
)
def test_what_keeps_a_phone_from_measuring(battery: Battery, heat: Heat, timed: bool, expected: object) -> None:
    found = unfit(battery, heat, timed)
    if expected is None:
        assert found is None
    else:
        assert isinstance(found, Unfit)
        assert isinstance(expected, tuple)
        assert expected[0] in found.reason
        assert found.passes is expected[1]
