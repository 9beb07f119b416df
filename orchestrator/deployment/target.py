"""For what kind of board a wheel has to be: its machine, its Python, its C library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from packaging.tags import Tag, compatible_tags, cpython_tags

#: Old names of platforms, with the glibc that they stand for (PEP 600).
_LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
#: The oldest glibc of any wheel for a machine (PEP 600; 64-bit Arm came with manylinux2014).
_OLDEST_MINOR = {"x86_64": 5}
_OLDEST_MINOR_ELSEWHERE = 17


@dataclass(frozen=True)
class Target:
    """A kind of board.

    Attributes:
        machine: as `uname -m` says it: "aarch64", "x86_64".
        python: major and minor version.
        glibc: of the board: wheels for an older one fit, too.
    """

    machine: str
    python: tuple[int, int]
    glibc: tuple[int, int]

    def __str__(self) -> str:
        """For people."""
        return f"Python {self.python[0]}.{self.python[1]} on {self.machine} with glibc {self.glibc[0]}.{self.glibc[1]}"

    @property
    def folder(self) -> str:
        """A name for files."""
        return f"cp{self.python[0]}{self.python[1]}-glibc{self.glibc[0]}.{self.glibc[1]}-{self.machine}"

    @property
    def platforms(self) -> list[str]:
        """Platforms whose wheels run there, the best first."""
        oldest = _OLDEST_MINOR.get(self.machine, _OLDEST_MINOR_ELSEWHERE)
        names = []
        for minor in range(self.glibc[1], oldest - 1, -1):
            names.append(f"manylinux_2_{minor}_{self.machine}")
            if (2, minor) in _LEGACY:
                names.append(f"{_LEGACY[2, minor]}_{self.machine}")
        return names

    @property
    def abis(self) -> list[str]:
        """As `pip download --abi` takes them."""
        return [f"cp{self.python[0]}{self.python[1]}", "abi3", "none"]

    @cached_property
    def tags(self) -> Mapping[Tag, int]:
        """Tags of wheels that run there, each with its place: 0 is the best."""
        platforms = self.platforms
        interpreter, *_ = self.abis
        tags = [
            *cpython_tags(self.python, [interpreter], platforms),
            *compatible_tags(self.python, interpreter, platforms),
        ]
        return {tag: place for place, tag in enumerate(tags)}

    @property
    def environment(self) -> dict[str, str]:
        """What environment markers see there.

        The last digit of Python's version is taken to be 0: a marker that asks for more adds a backport at most.
        """
        minor = f"{self.python[0]}.{self.python[1]}"
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{minor}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{minor}.0",
            "python_version": minor,
            "sys_platform": "linux",
            "extra": "",
        }
