#!/usr/bin/env python3
"""Behaves as the `adb` program with made-up phones, see `phones.FakePhones`: a folder each, whose shell is /bin/sh.

    fake_adb.py STATE.json [-s SERIAL | -t TRANSPORT_ID] devices|shell|push|pull|reconnect|reboot|…

What the phone's shell is told has its absolute paths (/data, /sdcard, /sys, and /proc's files that are no process's)
led into the phone's folder, and what it says led back. Paths inside of files are not: a runner is given paths relative
to its request, as it should be anyway.

As on a phone, what runs there goes on when this program is killed, and ends when the phone is unplugged. A phone that
hangs answers nothing; this program then waits for ever, as `adb` does.
"""

# ruff: noqa: T201  # what it prints is what it is for

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Dict, Iterator, List, NoReturn, Optional, Tuple

_LED = re.compile(r"(?<![\w./-])/(?=(?:data|sdcard|sys)(?:/|\b)|proc/[a-z])")
_POLL_S = 0.02

Phone = Dict[str, Any]
State = Dict[str, Any]


def main(arguments: List[str]) -> int:
    """Entry point."""
    store, *words = arguments
    serial = transport = ""
    while words[:1] in (["-s"], ["-t"]):
        option, value, *words = words
        serial, transport = (value, transport) if option == "-s" else (serial, value)
    program = Program(store, serial, transport)
    known: Dict[str, Callable[[List[str]], int]] = {
        "start-server": program.start_server,
        "kill-server": lambda words: 0,
        "devices": program.devices,
        "get-state": program.get_state,
        "shell": program.shell,
        "push": program.push,
        "pull": program.pull,
        "reconnect": program.reconnect,
        "reboot": program.reboot,
    }
    name, *rest = words or [""]
    if name not in known:
        _fail(f"adb: unknown command {name}")
    return known[name](rest)


class Program:
    """One run of the program.

    Args:
        store: the file with the state of all phones.
        serial: `-s`, or empty.
        transport: `-t`, or empty.
    """

    def __init__(self, store: str, serial: str, transport: str) -> None:
        self._store = store
        self._serial = serial
        self._transport = transport

    def start_server(self, words: List[str]) -> int:
        """`adb start-server`."""
        state = self._read()
        self._wait_while(lambda: self._read()["server_hangs"])
        if state["server_problem"]:
            _fail(state["server_problem"])
        if state["noise"]:
            _say("* daemon not running; starting now at tcp:5037\n* daemon started successfully")
        return 0

    def devices(self, words: List[str]) -> int:
        """`adb devices [-l]`."""
        self.start_server([])
        print("List of devices attached")
        for phone in self._present(self._read()):
            if "-l" not in words:
                print(f"{phone['serial']}\t{phone['state']}")
                continue
            properties = [f"usb:{phone['usb']}"] if phone["usb"] else []
            if phone["state"] in ("device", "recovery"):
                properties += [f"{key}:{phone[key]}" for key in ("product", "model", "device")]
            print(f"{phone['serial']:<22} {phone['state']} {' '.join(properties)} transport_id:{phone['transport_id']}")
        print()
        return 0

    def get_state(self, words: List[str]) -> int:
        """`adb get-state`."""
        print(self._phone()["state"])
        return 0

    def shell(self, words: List[str]) -> int:
        """`adb shell WORD…`: joined by blanks and read by the phone's shell, as adb does."""
        phone = self._answering()
        root = phone["root"]
        command, environment = led(root, " ".join(words))
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            pause_s = 0.001
            while process.poll() is None:
                if self._find() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    return 1  # adb says nothing when the link breaks
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _POLL_S)
            self._wait_while(lambda: bool(self._phone()["hangs"]))
            for source, target in ((out, sys.stdout), (err, sys.stderr)):
                source.seek(0)
                target.buffer.write(source.read().replace(root.encode(), b""))
                target.flush()
        return process.returncode if process.returncode >= 0 else 128 - process.returncode

    def push(self, words: List[str]) -> int:
        """`adb push LOCAL REMOTE`."""
        local, remote = words
        phone = self._answering()
        if not os.path.exists(local):
            _fail(f"adb: error: cannot stat '{local}': No such file or directory")
        if phone["full"]:
            _fail(f"adb: error: failed to copy '{local}' to '{remote}': remote write failed: No space left on device")
        target = _inside(phone, remote)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(local, target)
        shutil.copymode(local, target)
        with self._changing() as state:
            present = self._find(state)
            damaged = present is not None and present["corrupt_pushes"] > 0
            if present is not None and damaged:
                present["corrupt_pushes"] -= 1
        if damaged:
            with open(target, "r+b") as file:
                first = file.read(1) or b"\0"
                file.seek(0)
                file.write(bytes([first[0] ^ 1]))
        size = os.path.getsize(local)
        print(f"{local}: 1 file pushed, 0 skipped. 38.4 MB/s ({size} bytes in 0.010s)")
        return 0

    def pull(self, words: List[str]) -> int:
        """`adb pull REMOTE LOCAL`."""
        remote, local = words
        source = _inside(self._answering(), remote)
        if not os.path.isfile(source):
            _fail(f"adb: error: failed to stat remote object '{remote}': No such file or directory")
        shutil.copyfile(source, local)
        print(f"{remote}: 1 file pulled, 0 skipped. 38.4 MB/s ({os.path.getsize(source)} bytes in 0.010s)")
        return 0

    def reconnect(self, words: List[str]) -> int:
        """`adb reconnect`: kick the connection; the phone is there again at once, as another attachment."""
        self._phone()
        with self._changing() as state:
            phone = self._find(state)
            if phone is not None:
                phone["reconnects"] += 1
                self._attach_anew(state, phone)
                if phone["hangs"] == "until reconnect":
                    phone["hangs"] = ""
        print("reconnecting {} [{}]".format(self._serial, "device"))
        return 0

    def reboot(self, words: List[str]) -> int:
        """`adb reboot`: away for as long as it takes to boot."""
        self._phone()
        with self._changing() as state:
            phone = self._find(state)
            if phone is not None:
                phone["reboots"] += 1
                phone["away_until"] = time.time() + phone["boot_s"]
                self._attach_anew(state, phone)
                if phone["hangs"] != "for good":
                    phone["hangs"] = ""
        return 0

    # ------------------------------------------------------------------------------------------------ the state

    def _read(self) -> State:
        with open(self._store, encoding="utf-8") as file:
            state: State = json.load(file)
            return state

    @contextlib.contextmanager
    def _changing(self) -> Iterator[State]:
        with open(self._store + ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self._read()
            yield state
            with open(self._store + ".new", "w", encoding="utf-8") as file:
                json.dump(state, file)
            os.replace(self._store + ".new", self._store)

    @staticmethod
    def _attach_anew(state: State, phone: Phone) -> None:
        phone["transport_id"] = state["next_transport"]
        state["next_transport"] += 1

    @staticmethod
    def _present(state: State) -> List[Phone]:
        return [phone for phone in state["phones"] if phone["plugged"] and phone["away_until"] <= time.time()]

    def _find(self, state: Optional[State] = None) -> Optional[Phone]:
        for phone in self._present(state or self._read()):
            if self._transport in ("", str(phone["transport_id"])) and self._serial in ("", phone["serial"]):
                return phone
        return None

    def _phone(self) -> Phone:
        """The one that the options name."""
        state = self._read()
        alike = [phone for phone in self._present(state) if self._serial in ("", phone["serial"])]
        if not self._transport and len(alike) > 1:
            _fail("error: more than one device/emulator")
        phone = self._find(state)
        if phone is None:
            _fail(
                f"error: no device with transport id '{self._transport}'"
                if self._transport
                else f"error: device '{self._serial}' not found"
            )
        return phone

    def _answering(self) -> Phone:
        """The same, once it answers."""
        phone = self._phone()
        if phone["state"] == "unauthorized":
            _fail("error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set")
        if phone["state"] != "device":
            _fail(f"error: device {phone['state']}")
        time.sleep(phone["delay_s"])
        self._wait_while(lambda: bool(self._phone()["hangs"]))
        return phone

    @staticmethod
    def _wait_while(condition: Callable[[], bool]) -> None:
        while condition():
            time.sleep(_POLL_S)


def led(root: str, command: str) -> Tuple[str, Dict[str, str]]:
    """A command and its environment, for a phone that is a folder."""
    environment = {
        "PATH": f"{root}/bin:/usr/bin:/bin",
        "HOME": root,
        "FAKE_PHONE": root,
        "TMPDIR": f"{root}/data/local/tmp",
    }
    return _LED.sub(root + "/", command), environment


def _inside(phone: Phone, path: str) -> str:
    return phone["root"] + "/" + path.lstrip("/")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _fail(text: str) -> NoReturn:
    _say(text)
    raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
