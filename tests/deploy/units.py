"""Reading units of systemd."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
#: Where the handbook installs Gauntlet.
PROGRAMS = "/opt/gauntlet/bin"


def settings(text: str, section: str = "Service") -> list[tuple[str, str]]:
    """Key and value of each line of a section."""
    found, current = [], ""
    for line in text.splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif current == section and line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.append((key, value))
    return found


def setting(text: str, key: str) -> str:
    """The only value of a key."""
    [value] = [value for name, value in settings(text) if name == key]
    return value


def seconds(text: str) -> float:
    """A time span: 15s, 10min."""
    for unit, factor in (("min", 60), ("h", 3600), ("s", 1), ("", 1)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise AssertionError(text)
