"""A phone's files and what its programs say, all in one go: a look at a phone costs one command, not one for each.

`head` prints "==> PATH <==" before each file, with toybox as with GNU's; a file of one's own at the front has it do so
for a single one, too. A pattern that matches nothing names no file, which it does not read.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Iterable, Iterator, List, Mapping, Sequence

_HEADER = re.compile(r"^==> /(?P<path>\S.*) <==$", re.MULTILINE)
#: Of one file; /proc/cpuinfo has the most.
_LINES = 400
_UNREADABLE = "unreadable"
_CPU = "/sys/devices/system/cpu"
_POWER = "/sys/class/power_supply/*"
_THERMAL = "/sys/class/thermal"


def _each(folder: str, names: str) -> List[str]:
    return [f"{folder}/{name}" for name in names.split()]


#: What changes: heat, clocks, load, power.
LIVE = (
    *_each("/proc", "loadavg stat"),
    *_each(f"{_CPU}/cpu[0-9]*/cpufreq", "scaling_governor scaling_cur_freq scaling_max_freq cpuinfo_max_freq"),
    *_each(f"{_THERMAL}/thermal_zone*", "type temp"),
    *_each(f"{_THERMAL}/cooling_device*", "type cur_state max_state"),
    *_each(_POWER, "type scope status capacity current_now voltage_now power_now"),
    "/sys/bus/iio/devices/iio:device*/energy_value",
)
#: What a phone is made of.
FIXED = (*_each("/proc", "cpuinfo meminfo"), f"{_CPU}/cpu[0-9]*/cpu_capacity")


def script(patterns: Sequence[str], programs: Mapping[str, str]) -> str:
    """For the phone's shell: prints all files that match, which of them may not be read, and what programs say.

    Args:
        patterns: of paths; the shell expands them.
        programs: command lines, by the name under which `Snapshot.read` has their output.
    """
    names = " ".join(patterns)
    lines = [
        f"head -n {_LINES} /dev/null {names} 2>/dev/null",
        _header(_UNREADABLE),
        f'for file in {names}; do [ -e "$file" ] && [ ! -r "$file" ] && echo "$file"; done',
    ]
    for name, program in programs.items():
        lines += [_header(name), f"{program} 2>/dev/null"]
    # One that fails does not make the whole fail: what it says is missing then.
    return "; ".join([*lines, "true"])


def _header(name: str) -> str:
    # A blank line first: the file before may not end with one.
    return f"echo; echo {shlex.quote(f'==> /{name} <==')}"


class Snapshot:
    """What the files held, as `meters.base.Files`; paths have no leading slash.

    Args:
        files: content by path, without surrounding blanks.
        unreadable: those that are there and may not be read.
    """

    def __init__(self, files: Mapping[str, str], unreadable: Iterable[str] = ()) -> None:
        self._files = dict(files)
        self._unreadable = set(unreadable)

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Read what `script` printed."""
        parts = _HEADER.split(text)
        files = dict(zip(parts[1::2], (content.strip() for content in parts[2::2])))
        unreadable = files.pop(_UNREADABLE, "")
        files.pop("dev/null", None)
        # A file that cannot be read although it may be (a sensor that is off) has a header and nothing else.
        return cls({path: content for path, content in files.items() if content}, _paths(unreadable))

    def read(self, path: str) -> str:
        """See `Files`."""
        if path in self._unreadable:
            raise PermissionError(13, "Permission denied", path)
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", path) from None

    def glob(self, pattern: str) -> List[str]:
        """See `Files`; folders match, too."""
        depth = pattern.count("/")
        known = {path for name in (*self._files, *self._unreadable) for path in _up(name)}
        return sorted(path for path in known if path.count("/") == depth and _matches(path, pattern))

    @contextlib.contextmanager
    def laid_out(self) -> Iterator[Path]:
        """The kernel's files below a folder, for those who read folders; it is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="gauntlet-phone-") as folder:
            for name, content in self._files.items():
                path = Path(folder) / name
                # Whatever a phone names: never outside of the folder, and never a reason to fail.
                if name.startswith(("proc/", "sys/")) and ".." not in path.parts:
                    with contextlib.suppress(OSError, ValueError):
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_text(content + "\n", encoding="utf-8")
            yield Path(folder)


def _matches(path: str, pattern: str) -> bool:
    return all(fnmatchcase(part, wanted) for part, wanted in zip(path.split("/"), pattern.split("/")))


def _up(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def _paths(text: str) -> List[str]:
    return [line[1:] for line in text.splitlines() if line.startswith("/")]
