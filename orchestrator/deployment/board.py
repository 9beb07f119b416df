"""What a board is, asked in one round trip, and what of that keeps an agent from running there."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.deployment.errors import CommandError, UnfitError
from orchestrator.deployment.ports import Remote
from orchestrator.deployment.survey import SCRIPT
from protos.udev import let_read

OLDEST_PYTHON = (3, 9)
_TIMEOUT_S = 60.0
#: Machines for which all that an agent needs has wheels.
_MACHINES = ("x86_64", "aarch64")
#: A virtual environment with all that an agent needs has 6,000 files.
_NEEDED_INODES = 20_000
#: Certificates begin ten minutes before they are made: a clock that is further behind has to wait for them.
_CLOCK_OFF_S = 300.0


@dataclass(frozen=True)
class Python:
    """A Python on a board.

    Attributes:
        path: of its program.
        version: such as (3, 11, 2).
        implementation: "cpython", "pypy".
        bits: of its addresses.
        has_venv: it can make virtual environments with pip in them; Debian has a package of its own for that.
    """

    path: str
    version: tuple[int, ...]
    implementation: str
    bits: int
    has_venv: bool

    @property
    def fits(self) -> bool:
        """Can an agent run on it?"""
        return self.version >= OLDEST_PYTHON and self.implementation == "cpython" and self.bits == 64

    def __str__(self) -> str:
        """Its version, for people."""
        return "Python " + ".".join(map(str, self.version))


@dataclass(frozen=True)
class Board:
    """What a board says of itself; empty or None is what it does not say.

    Attributes:
        system: "Linux".
        kernel: its release.
        machine: as `uname -m` says it.
        bits: of the programs that run there, which a 64-bit kernel does not tell; 0: unknown.
        glibc: its version; None: another C library.
        libc: what was said of the C library.
        distributions: ids as in os-release(5), its own first, then those that it is like.
        title: the distribution's name.
        model: of the board or machine.
        memory_bytes: of RAM.
        user: who logs in.
        group: the user's first.
        root: the user is root.
        sudo: the user may run anything as root without a password.
        systemd: it was booted with systemd.
        user_systemd: the user's own systemd can be reached.
        lingering: that one runs from the start of the board on.
        programs: of tar, setsid, crontab and uv those that there are.
        home: the user's folder.
        has_home: it exists, and is a folder of its own: not "/", below which others live.
        place: where files will go, or the nearest folder to it that there is.
        writable: the user may write there.
        free_bytes: there.
        free_inodes: there; None: not counted.
        mount_options: of that file system.
        clock_off_s: its clock less ours, to a second or so.
        pythons: those looked at, until one did.
        unreadable: sensors of energy that the user may not read: (subsystem, chip, path).
    """

    system: str
    kernel: str
    machine: str
    bits: int
    glibc: tuple[int, int] | None
    libc: str
    distributions: tuple[str, ...]
    title: str
    model: str
    memory_bytes: int | None
    user: str
    group: str
    root: bool
    sudo: bool
    systemd: bool
    user_systemd: bool
    lingering: bool
    programs: frozenset[str]
    home: str
    has_home: bool
    place: str
    writable: bool
    free_bytes: int | None
    free_inodes: int | None
    mount_options: frozenset[str]
    clock_off_s: float | None
    pythons: tuple[Python, ...]
    unreadable: tuple[tuple[str, str, str], ...]

    @property
    def python(self) -> Python | None:
        """The one to use: the first that can make virtual environments, else the first that fits."""
        fitting = [python for python in self.pythons if python.fits]
        return next((python for python in fitting if python.has_venv), fitting[0] if fitting else None)

    @property
    def summary(self) -> str:
        """In a few words, for people."""
        parts = [self.model, self.title, self.machine, str(self.python or "no Python"), f"user {self.user}"]
        return ", ".join(part for part in parts if part)

    def check(self, needed_bytes: int) -> None:
        """Can an agent run there? Its Python apart, since that can be brought along: see `no_python`.

        Args:
            needed_bytes: of the disk.

        Raises:
            UnfitError: all that keeps it from that, in one line.
        """
        problems = self.problems(needed_bytes)
        if problems:
            raise UnfitError("; ".join(dict(problems)), "; ".join(dict.fromkeys(remedy for _, remedy in problems)))

    def problems(self, needed_bytes: int) -> list[tuple[str, str]]:
        """What keeps an agent from running there, each with its remedy.

        Args:
            needed_bytes: of the disk.
        """
        if self.system != "Linux":
            return [(f"it runs {self.system or 'an unknown system'}, and an agent needs Linux", "use a Linux host")]
        return [*self._foreign(), *self._no_place(needed_bytes)]

    def check_home(self) -> None:
        """Is there a folder in which something can be ours?

        Raises:
            UnfitError: there is none.
        """
        if not self.has_home:
            raise UnfitError(*self._no_home())

    def warnings(self) -> list[str]:
        """What will be missing there, each with its remedy."""
        found = []
        if self.clock_off_s is not None and abs(self.clock_off_s) > _CLOCK_OFF_S:
            way = "ahead" if self.clock_off_s > 0 else "behind"
            found.append(
                f"its clock is {_duration(self.clock_off_s)} {way}, so that certificates may not be valid yet, or any "
                "more; let it be set: sudo timedatectl set-ntp true"
            )
        told = set()
        for subsystem, chip, path in self.unreadable:
            if (subsystem, chip) not in told:
                told.add((subsystem, chip))
                remedy = let_read(subsystem, self.group, chip)
                found.append(f"no energy: {self.user} may not read {path}; {remedy}")
        return found

    def no_python(self) -> UnfitError:
        """What to say where there is no Python that fits."""
        there = f" ({', '.join(f'{python} at {python.path}' for python in self.pythons)})" if self.pythons else ""
        oldest = ".".join(map(str, OLDEST_PYTHON))
        ways = [f"{self._install()} there"] if self._install() and not self.pythons else []
        ways.append("uv python install 3.11 there" + ("" if "uv" in self.programs else " (uv: docs.astral.sh/uv)"))
        ways.append("bring one: --python FILE")
        return UnfitError(f"it has no 64-bit Python {oldest} or newer{there}", "; or ".join(ways))

    def _foreign(self) -> list[tuple[str, str]]:
        if self.machine not in _MACHINES or self.bits == 32:
            bits = "its programs have 32 bits" if self.bits == 32 else f"its processor is {self.machine or 'unknown'}"
            return [
                (
                    f"{bits}, and what an agent needs is made for 64-bit Arm and x86 ({', '.join(_MACHINES)})",
                    "install a 64-bit system, if it can run one",
                )
            ]
        if "musl" in self.libc:
            return [
                (
                    f"its C library is musl ({self.title or 'unknown system'}), for which LiteRT has no wheels",
                    "use a system with glibc, such as Debian, Ubuntu or Raspberry Pi OS",
                )
            ]
        if self.glibc is None:
            return [("its C library is not glibc, as far as can be told", "`getconf GNU_LIBC_VERSION` has to name it")]
        return []

    def _no_place(self, needed_bytes: int) -> list[tuple[str, str]]:
        found = []
        if not self.has_home:
            found.append(self._no_home())
        elif "ro" in self.mount_options:
            found.append((f"{self.place} is mounted read-only", "mount it read-write (a worn card may be the cause)"))
        elif not self.writable:
            found.append((f"{self.user} may not write to {self.place}", f"sudo chown {self.user} {self.place}"))
        if "noexec" in self.mount_options:
            found.append((f"{self.place} is mounted noexec, nothing can be run from there", "mount it with exec"))
        if self.free_bytes is not None and self.free_bytes < needed_bytes:
            found.append(
                (
                    f"{self.place} has {self.free_bytes / 1e6:,.0f} MB free; {needed_bytes / 1e6:,.0f} MB are needed",
                    "make room there: `df -h`",
                )
            )
        elif self.free_inodes is not None and self.free_inodes < _NEEDED_INODES:
            found.append(
                (
                    f"{self.place} has room for {self.free_inodes:,} more files, and {_NEEDED_INODES:,} are needed",
                    "remove small files there: `df -i`",
                )
            )
        return found

    def _no_home(self) -> tuple[str, str]:
        place = self.home or "it is /, or not set"
        return f"{self.user} has no home folder of its own: {place}", f"sudo mkhomedir_helper {self.user}"

    def _install(self) -> str:
        """How its distribution brings a Python."""
        for distribution, command in _INSTALL.items():
            if distribution in self.distributions:
                return command
        return ""


_INSTALL = {
    "debian": "sudo apt-get install python3 python3-venv",
    "ubuntu": "sudo apt-get install python3 python3-venv",
    "fedora": "sudo dnf install python3",
    "rhel": "sudo dnf install python3.11",
    "arch": "sudo pacman -S python",
    "suse": "sudo zypper install python311",
}


def look(remote: Remote) -> Board:
    """Ask a board what it is; one round trip, about a tenth of a second of its time.

    Raises:
        UnfitError: it runs no commands.
        CommandError: it does not answer the question.
        UnreachableError: it does not answer at all.
    """
    before_s = time.time()
    output = remote.run(["sh"], timeout_s=_TIMEOUT_S, stdin=SCRIPT.encode(), check=False)
    board = parse(output.stdout, (before_s + time.time()) / 2)
    if board is None:
        said = (output.stderr or output.stdout).strip().splitlines()
        raise CommandError(
            f"it cannot be asked what it is: {said[-1][:200] if said else 'its shell says nothing'}",
            "an agent needs Linux with a POSIX shell",
        )
    return board


def parse(text: str, now_s: float) -> Board | None:
    """A board from what the script said; None if it did not come to its end.

    Args:
        text: of the script.
        now_s: when, as Unix time here.
    """
    lines = [line.partition("=")[::2] for line in text.splitlines()]
    if ("end", "yes") not in lines:
        return None
    one = dict(lines)
    every: dict[str, list[str]] = {}
    for key, value in lines:
        every.setdefault(key, []).append(value)
    glibc = re.match(r"glibc ([0-9]{1,2})\.([0-9]{1,3})(?![0-9])", one.get("libc", ""))
    clock_s = _number(one, "clock")
    return Board(
        system=one.get("system", ""),
        kernel=one.get("kernel", ""),
        machine=one.get("machine", ""),
        bits=_number(one, "bits") or 0,
        glibc=(int(glibc[1]), int(glibc[2])) if glibc else None,
        libc=one.get("libc", "").strip(),
        distributions=tuple(one.get("distribution", "").split()),
        title=one.get("title", ""),
        model=every.get("model", [""])[0].strip(),
        memory_bytes=_kibibytes(one, "memory_kib"),
        user=one.get("user", ""),
        group=one.get("group", ""),
        root="root" in one,
        sudo="sudo" in one,
        systemd="systemd" in one,
        user_systemd="user_systemd" in one,
        lingering="lingering" in one,
        programs=frozenset(every.get("program", [])),
        home=one.get("home", "").rstrip("/"),
        has_home="home_exists" in one and re.fullmatch(r"/[^/].*", one.get("home", "")) is not None,
        place=one.get("place", ""),
        writable="writable" in one,
        free_bytes=_kibibytes(one, "disk_kib"),
        free_inodes=_number(one, "inodes"),
        mount_options=frozenset(one.get("mount_options", "").split(",")),
        clock_off_s=None if clock_s is None else clock_s - now_s,
        pythons=tuple(found for value in every.get("python", []) if (found := _python(value))),
        unreadable=tuple(_sensor(value) for value in every.get("unreadable", [])),
    )


def _number(one: Mapping[str, str], key: str) -> int | None:
    text = one.get(key, "")
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _kibibytes(one: Mapping[str, str], key: str) -> int | None:
    number = _number(one, key)
    return None if number is None else number * 1024


def _python(value: str) -> Python | None:
    parts = value.split("|", 4)
    if len(parts) < 5 or not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})*", parts[0]) or parts[2] not in ("32", "64"):
        return None
    version = tuple(map(int, parts[0].split(".")))
    return Python(parts[4], version, parts[1], int(parts[2]), parts[3] == "1")


def _sensor(value: str) -> tuple[str, str, str]:
    subsystem, _, rest = value.partition("|")
    chip, _, path = rest.partition("|")
    return subsystem, chip, path


def _duration(seconds: float) -> str:
    for unit, length_s in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if abs(seconds) >= 2 * length_s:
            return f"{abs(seconds) / length_s:,.0f} {unit}"
    return f"{abs(seconds):.0f} seconds"
