"""Made-up phones, and an `adb` that speaks with them: plug them in, pull them out, let them hang."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List

import psutil

_FAKE = Path(__file__).with_name("fake_adb.py")

#: Of no phone in particular, but of the form that one of 2023 shows.
_PROPERTIES = {
    "ro.product.model": "Pixel 8",
    "ro.product.manufacturer": "Google",
    "ro.product.device": "shiba",
    "ro.soc.manufacturer": "Google",
    "ro.soc.model": "Tensor G3",
    "ro.hardware": "shiba",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.build.fingerprint": "google/shiba/shiba:14/UD1A.230803.041/10808477:user/release-keys",
    "ro.product.cpu.abi": "arm64-v8a",
    "sys.boot_completed": "1",
}
#: Core: highest clock in kHz and capacity: four small, four middle, one big.
_CORES = [(1_704_000, 180)] * 4 + [(2_367_000, 620)] * 4 + [(2_914_000, 1024)]
_BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  Max charging voltage: 5000000
  Charge counter: 3521000
  status: 2
  health: 2
  present: true
  level: 80
  scale: 100
  voltage: 4193
  temperature: 280
  technology: Li-ion
"""
_THERMAL = """\
IsStatusOverride: false
ThermalEventListeners:
	callbacks: 1
	killed: false
	broadcasts count: -1
Thermal Status: 0
Cached temperatures:
	Temperature{mValue=27.0, mType=3, mName=VIRTUAL-SKIN, mStatus=0}
HAL Ready: true
HAL connection:
	ThermalHAL 2.0 connected: yes
Current temperatures from HAL:
	Temperature{mValue=34.0, mType=0, mName=BIG, mStatus=0}
	Temperature{mValue=33.0, mType=0, mName=MID, mStatus=0}
	Temperature{mValue=28.1, mType=3, mName=VIRTUAL-SKIN, mStatus=0}
	Temperature{mValue=27.9, mType=2, mName=battery, mStatus=0}
Current cooling devices from HAL:
	CoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}
"""
_PROGRAMS = {
    "getprop": (
        '[ $# -eq 0 ] && exec cat "$FAKE_PHONE/properties"\nexec sed -n "s/^\\[$1\\]: \\[\\(.*\\)\\]\\$/\\1/p" '
        '"$FAKE_PHONE/properties"'
    ),
    "dumpsys": 'if [ -f "$FAKE_PHONE/dumpsys/$1" ]; then exec cat "$FAKE_PHONE/dumpsys/$1"; fi\n'
    'echo "Can\'t find service: $1" >&2',
    # The machine of the tests has other cores: what was asked for is written down.
    "taskset": 'echo "$1" >> "$FAKE_PHONE/taskset.log"\nshift\nexec "$@"',
    "uname": 'case "$1" in -m) echo aarch64;; -r) echo 5.15.110-android14-11;; *) echo Linux;; esac',
    "nproc": f"echo {len(_CORES)}",
    "python3": f'exec {shlex.quote(sys.executable)} "$@"',
}


class FakePhone:
    """One made-up phone.

    Args:
        root: the folder that stands for its file system.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str) -> None:
        """A file of it, by its absolute path."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def path(self, path: str) -> Path:
        """Where a file of it lies here."""
        return self.root / path.lstrip("/")

    def set_properties(self, **changes: str) -> None:
        """What `getprop` says; "__" stands for "."."""
        known = json.loads((self.root / "properties.json").read_text())
        known.update({key.replace("__", "."): value for key, value in changes.items()})
        (self.root / "properties.json").write_text(json.dumps(known))
        self.write("properties", "".join(f"[{key}]: [{value}]\n" for key, value in known.items()))

    def dumpsys(self, service: str, text: str) -> None:
        """What `dumpsys SERVICE` says."""
        self.write(f"dumpsys/{service}", text)

    def battery(self, **changes: object) -> None:
        """Change lines of `dumpsys battery`; "_" stands for a blank."""
        lines = (self.root / "dumpsys/battery").read_text().splitlines()
        for key, value in changes.items():
            name = key.replace("_", " ")
            lines = [f"  {name}: {value}" if line.strip().startswith(f"{name}:") else line for line in lines]
        self.dumpsys("battery", "\n".join(lines) + "\n")

    def thermal_status(self, status: int, skin_c: float = 28.1) -> None:
        """How hot it says it is: 0-6."""
        text = _THERMAL.replace("Thermal Status: 0", f"Thermal Status: {status}")
        self.dumpsys("thermalservice", text.replace("mValue=28.1", f"mValue={skin_c}"))


class FakePhones:
    """All made-up phones of a test, and the program to speak with them.

    Args:
        folder: theirs.

    Attributes:
        command: stands in for `adb`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._store = folder / "phones.json"
        self._store.write_text(
            json.dumps({"phones": [], "next_transport": 1, "noise": False, "server_problem": "", "server_hangs": False})
        )
        self.command = folder / "adb"
        words = [sys.executable, "-IS", str(_FAKE), str(self._store)]
        self.command.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        self.command.chmod(0o755)

    def add(self, serial: str, usb: str = "1-1", **changes: Any) -> FakePhone:
        """A phone that is plugged in.

        Args:
            serial: two may show the same.
            usb: its port.
            **changes: see `change`.
        """
        root = Path(tempfile.mkdtemp(prefix="phone-", dir=self._folder))
        phone = FakePhone(root)
        _furnish(phone)
        fields: Dict[str, Any] = {
            "serial": serial,
            "usb": usb,
            "root": str(root),
            "product": "shiba",
            "model": "Pixel_8",
            "device": "shiba",
            "state": "device",
            "plugged": True,
            "away_until": 0.0,
            "hangs": "",
            "full": False,
            "corrupt_pushes": 0,
            "delay_s": 0.0,
            "boot_s": 0.2,
            "reconnects": 0,
            "reboots": 0,
        }
        with self._changing() as state:
            state["phones"].append({**fields, **changes, "transport_id": state["next_transport"]})
            state["next_transport"] += 1
        return phone

    def change(self, serial: str, **changes: Any) -> None:
        """Let all phones with a serial be otherwise.

        Args:
            serial: of them.
            **changes: state ("device", "unauthorized", "offline"), hangs ("", "until reconnect", "until reboot",
                "for good"), full, corrupt_pushes (how many more arrive damaged), delay_s (of each command), boot_s.
        """
        with self._changing() as state:
            for phone in state["phones"]:
                if phone["serial"] == serial:
                    phone.update(changes)

    def unplug(self, serial: str) -> None:
        """Pull the cable out."""
        self.change(serial, plugged=False)

    def plug(self, serial: str) -> None:
        """Put it in again: another attachment of the same phone."""
        with self._changing() as state:
            for phone in state["phones"]:
                if phone["serial"] == serial:
                    phone.update(plugged=True, transport_id=state["next_transport"])
                    state["next_transport"] += 1

    def server(self, **changes: Any) -> None:
        """Let the server be otherwise: noise, server_problem, server_hangs."""
        with self._changing() as state:
            state.update(changes)

    def look(self, serial: str) -> Dict[str, Any]:
        """What became of a phone: reconnects, reboots, …"""
        phones = json.loads(self._store.read_text())["phones"]
        found: Dict[str, Any] = next(phone for phone in phones if phone["serial"] == serial)
        return found

    def running(self, serial: str) -> int:
        """Number of processes that run on a phone."""
        return len(running_in(Path(self.look(serial)["root"])))

    def close(self) -> None:
        """End what still runs on them."""
        for process in running_in(self._folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Dict[str, Any]]:
        with open(f"{self._store}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = json.loads(self._store.read_text())
            yield state
            new = Path(f"{self._store}.new")
            new.write_text(json.dumps(state))
            new.replace(self._store)


def _furnish(phone: FakePhone) -> None:
    (phone.root / "properties.json").write_text("{}")
    phone.set_properties(**{key.replace(".", "__"): value for key, value in _PROPERTIES.items()})
    for name, body in _PROGRAMS.items():
        phone.write(f"bin/{name}", f"#!/bin/sh\n{body}\n")
        phone.path(f"bin/{name}").chmod(0o755)
    phone.path("/data/local/tmp").mkdir(parents=True)
    phone.dumpsys("battery", _BATTERY)
    phone.dumpsys("thermalservice", _THERMAL)
    phone.dumpsys("power", "POWER MANAGER (dumpsys power)\n\nPower Manager State:\n  mWakefulness=Asleep\n")
    lines = ["processor\t: {}\nBogoMIPS\t: 49.15\nFeatures\t: fp asimd asimdhp asimddp i8mm bf16\n"] * len(_CORES)
    phone.write("/proc/cpuinfo", "\n".join(line.format(core) for core, line in enumerate(lines)))
    phone.write(
        "/proc/meminfo", "MemTotal:        7634212 kB\nMemFree:          612340 kB\nMemAvailable:    3712340 kB\n"
    )
    phone.write("/proc/loadavg", "1.25 1.30 1.41 2/4321 12345\n")
    phone.write("/sys/devices/system/cpu/present", f"0-{len(_CORES) - 1}\n")
    for core, (khz, capacity) in enumerate(_CORES):
        folder = f"/sys/devices/system/cpu/cpu{core}"
        phone.write(f"{folder}/cpu_capacity", f"{capacity}\n")
        for name, value in (
            ("cpuinfo_max_freq", khz),
            ("scaling_max_freq", khz),
            ("scaling_cur_freq", khz // 2),
            ("scaling_governor", "sched_pixel"),
        ):
            phone.write(f"{folder}/cpufreq/{name}", f"{value}\n")
    for zone, (kind, millidegrees) in enumerate((("BIG", 34000), ("LITTLE", 33000), ("battery", 27900))):
        phone.write(f"/sys/class/thermal/thermal_zone{zone}/type", f"{kind}\n")
        phone.write(f"/sys/class/thermal/thermal_zone{zone}/temp", f"{millidegrees}\n")
    for name, value in (
        ("type", "Battery"),
        ("status", "Charging"),
        ("capacity", "80"),
        ("current_now", "412000"),
        ("voltage_now", "4193000"),
    ):
        phone.write(f"/sys/class/power_supply/battery/{name}", f"{value}\n")


def running_in(root: Path) -> List[int]:
    """Processes that run in the phones below a folder."""
    found = []
    for process in psutil.process_iter(["pid"]):
        with contextlib.suppress(psutil.Error):
            if process.environ().get("FAKE_PHONE", "").startswith(str(root)):
                found.append(process.pid)
    return found
