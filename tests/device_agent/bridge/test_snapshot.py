"""A phone's files, read in one go."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.bridge.adb import AdbProgram
from device_agent.bridge.snapshot import LIVE, Snapshot, script
from tests.device_agent.bridge.phones import FakePhones


async def test_one_command_brings_all_files_and_what_programs_say(phones: FakePhones) -> None:
    phones.add("4A2B")
    adb = AdbProgram(phones.command)
    command = ["sh", "-c", script(LIVE, {"level": "dumpsys battery | grep level", "absent": "no-such-program"})]
    output = await adb.phone((await adb.devices())[0]).shell(command, 30.0)
    snapshot = Snapshot.parse(output.stdout.decode())
    assert snapshot.read("sys/class/thermal/thermal_zone0/type") == "BIG"
    assert snapshot.read("sys/devices/system/cpu/cpu8/cpufreq/scaling_max_freq") == "2914000"
    assert snapshot.read("level") == "level: 80"
    with pytest.raises(FileNotFoundError):
        snapshot.read("absent")
    assert snapshot.glob("sys/class/power_supply/*") == ["sys/class/power_supply/battery"]
    assert snapshot.glob("sys/class/thermal/thermal_zone*/temp") == [
        f"sys/class/thermal/thermal_zone{zone}/temp" for zone in range(3)
    ]


def test_names_with_colons_and_content_without_a_newline_at_its_end(tmp_path: Path) -> None:
    device = tmp_path / "iio:device0"
    device.mkdir()
    (device / "energy_value").write_text("t=12\nCH3(T=12)[S2M_VDD_CPUCL2], 761330")
    (device / "empty").write_text("")
    command = script([f"{tmp_path}/iio:device*/*", f"{tmp_path}/nothing*"], {})
    text = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    snapshot = Snapshot.parse(text)
    assert snapshot.read(f"{tmp_path}/iio:device0/energy_value"[1:]).endswith("761330")
    assert snapshot.glob(f"{tmp_path}/iio:device*/*"[1:]) == [f"{device}/energy_value"[1:]]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("1")
    (tmp_path / "secret").chmod(0)
    text = subprocess.run(["sh", "-c", script([f"{tmp_path}/*"], {})], capture_output=True, text=True).stdout
    with pytest.raises(PermissionError):
        Snapshot.parse(text).read(f"{tmp_path}/secret"[1:])


def test_what_the_phone_says_may_not_be_read_is_there_all_the_same() -> None:
    snapshot = Snapshot.parse("\n==> /unreadable <==\n/sys/bus/iio/devices/iio:device0/energy_value\n")
    assert snapshot.glob("sys/bus/iio/devices/iio:device*/energy_value")
    with pytest.raises(PermissionError):
        snapshot.read("sys/bus/iio/devices/iio:device0/energy_value")


def test_laid_out_it_is_a_folder_of_the_kernels_files_which_is_gone_afterwards() -> None:
    with Snapshot({"proc/loadavg": "1.0", "sys/a/b": "2", "battery": "x"}).laid_out() as root:
        assert (root / "proc/loadavg").read_text() == "1.0\n"
        assert not (root / "battery").exists()
    assert not root.exists()


@given(st.text(alphabet=st.sampled_from("=><sysproc/. \nab12")))
def test_any_text_is_read_without_an_error_and_lays_out_nothing_outside(text: str) -> None:
    snapshot = Snapshot.parse("\n==> /sys/x <==\n" + text)
    for path in snapshot.glob("*/*"):
        assert not path.startswith("/")


@pytest.mark.parametrize("path", ["sys/../../escaped", "sys/a/b/c", "sys/\0"])
def test_a_path_that_makes_no_sense_is_not_laid_out_and_the_others_are(path: str) -> None:
    snapshot = Snapshot.parse(f"==> /sys/a/b <==\n1\n==> /{path} <==\nx\n==> /sys/z <==\n2\n")
    with snapshot.laid_out() as root:
        files = [str(file.relative_to(root)) for file in sorted(root.glob("**/*")) if file.is_file()]
        assert files == ["sys/a/b", "sys/z"]
        assert not (root.parent / "escaped").exists()
