"""What a board's device tree says of it: the name for people, and the names for programs.

`model` is one string, `compatible` a list of them, the most particular first: "nvidia,p3768-0000+p3767-0005",
"nvidia,p3767-0005", "nvidia,tegra234" (Devicetree Specification 0.4, sections 2.3.1 and 2.3.2). All end with a NUL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import List, Tuple

_FOLDERS = ("proc/device-tree", "sys/firmware/devicetree/base")
#: A firmware's rubbish must not become a board's name.
_MOST_CHARACTERS = 128
_COMPATIBLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9,._+-]{0,126}")


@dataclass(frozen=True)
class DeviceTree:
    """A board, by its device tree.

    Attributes:
        model: for people; empty where there is no device tree.
        compatible: for programs, "vendor,name" each, the most particular first and the chip last.
    """

    model: str = ""
    compatible: Tuple[str, ...] = ()

    @property
    def soc(self) -> str:
        """The chip, for example "tegra234"; empty where it is not told."""
        return self.compatible[-1].partition(",")[2] if self.compatible else ""


def read_device_tree(root: Path = Path("/")) -> DeviceTree:
    """The board's device tree; an empty one where there is none.

    Args:
        root: of the file system, or of a made-up one.
    """
    for name in _FOLDERS:
        model = next(iter(_strings(root / name / "model")), "")
        compatible = tuple(text for text in _strings(root / name / "compatible") if _COMPATIBLE.fullmatch(text))
        if model or compatible:
            return DeviceTree(model[:_MOST_CHARACTERS], compatible)
    return DeviceTree()


def _strings(path: Path) -> List[str]:
    """The strings of a property, without what cannot be shown."""
    try:
        content = path.read_bytes()
    except OSError:
        return []
    texts = (part.decode(errors="ignore") for part in content.split(b"\0"))
    shown = ("".join(letter for letter in text if letter.isprintable()).strip() for text in texts)
    return [text for text in shown if text]
