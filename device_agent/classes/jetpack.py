"""What a Jetson's software tells: the release of Jetson Linux (L4T), its JetPack, the power mode. All without root."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict

from device_agent.tuning.jetson import Jetson
from device_agent.tuning.system import read, run_command

_RELEASE = re.compile(r"R(\d{2,3}) \(release\), REVISION: (\d{1,3}(?:\.\d{1,3}){0,2})")
_MODE = re.compile(r"pmode:(\d{1,4})")
#: By NVIDIA's JetPack archive. The number of an L4T that is not listed tells its generation.
_JETPACKS = {
    "32.1": "4.2", "32.2": "4.2.1", "32.2.1": "4.2.2", "32.2.3": "4.2.3", "32.3.1": "4.3", "32.4.3": "4.4",
    "32.4.4": "4.4.1", "32.5": "4.5", "32.5.1": "4.5.1", "32.6.1": "4.6", "32.7.1": "4.6.1", "32.7.2": "4.6.2",
    "32.7.3": "4.6.3", "32.7.4": "4.6.4", "32.7.5": "4.6.5", "32.7.6": "4.6.6",
    "35.1": "5.0.2", "35.2.1": "5.1", "35.3.1": "5.1.1", "35.4.1": "5.1.2", "35.5": "5.1.3", "35.6": "5.1.4",
    "35.6.1": "5.1.5",
    "36.3": "6.0", "36.4": "6.1", "36.4.3": "6.2", "36.4.4": "6.2.1",
    "38.2": "7.0", "38.2.1": "7.0", "38.4": "7.1", "39.2": "7.2",
}  # fmt: skip
_GENERATIONS = {"32": "4", "34": "5", "35": "5", "36": "6", "38": "7", "39": "7"}


def facts(root: Path = Path("/")) -> Dict[str, str]:
    """What can be told of "l4t", "jetpack" and "power_mode".

    Args:
        root: of the file system, or of a made-up one.
    """
    found: Dict[str, str] = {}
    release = _RELEASE.search(read(root / "etc/nv_tegra_release") or "")
    if release:
        l4t = f"{release.group(1)}.{release.group(2)}"
        found["l4t"] = l4t
        jetpack = _JETPACKS.get(re.sub(r"\.0$", "", l4t)) or _GENERATIONS.get(release.group(1))
        if jetpack:
            found["jetpack"] = jetpack
    mode = power_mode(root)
    if mode:
        found["power_mode"] = mode
    return found


def power_mode(root: Path = Path("/")) -> str:
    """Name and number of the present power mode, "15W (0)"; empty where it is not told.

    nvpmodel keeps the number in a file that anybody may read, while `nvpmodel -q` may want root.

    Args:
        root: of the file system, or of a made-up one.
    """
    kept = _MODE.match(read(root / "var/lib/nvpmodel/status") or "")
    if not kept:
        return ""
    number = str(int(kept.group(1)))
    names = {number: name for name, number in Jetson(root, run_command, Path()).modes().items()}
    return f"{names[number]} ({number})" if number in names else number
