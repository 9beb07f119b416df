"""The graphics processor of a chip, as the kernel scales its clock (devfreq): clock, and on a Jetson the load."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from device_agent.tuning.system import list_folder, number

#: Jetson: 57000000.gpu, 17000000.ga10b (JetPack 5), 17000000.gpu (6), gpu-gpc-0 (Thor); Mali: fb000000.gpu.
_NAMES = re.compile(r"^(?:[0-9a-f]+\.)?(?:gpu|g[abmpv]\d+b|mali)\b", re.I)


@dataclass(frozen=True)
class Gpu:
    """A graphics processor.

    Attributes:
        name: of its devfreq device.
        folder: of it.
    """

    name: str
    folder: Path

    def frequency_hz(self) -> Optional[float]:
        """Its clock now; None where that cannot be read."""
        hertz = number(self.folder / "cur_freq")
        return float(hertz) if hertz is not None and hertz > 0 else None

    def load_ratio(self) -> Optional[float]:
        """How busy it is, 0-1; None where that is not told. Jetsons tell it in thousandths."""
        thousandths = number(self.folder / "device/load")
        return thousandths / 1000 if thousandths is not None and 0 <= thousandths <= 1000 else None


def find_gpu(root: Path = Path("/")) -> Optional[Gpu]:
    """The first graphics processor that the kernel scales, or None.

    Args:
        root: of the file system, or of a made-up one.
    """
    for folder in list_folder(root / "sys/class/devfreq", "*"):
        gpu = Gpu(folder.name, folder)
        if _NAMES.match(folder.name) and gpu.frequency_hz() is not None:
            return gpu
    return None
