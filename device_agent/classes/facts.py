"""What else a device tells of itself, by short names, and its processor's cores by theirs."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Dict

from device_agent.classes import jetpack
from device_agent.classes.devicetree import DeviceTree
from device_agent.classes.gpu import find_gpu
from device_agent.classes.names import JETSON, family
from device_agent.tuning import clusters
from device_agent.tuning.system import list_folder

#: (implementer, part) of /proc/cpuinfo: linux/arch/arm64/include/asm/cputype.h.
_CORES = {
    ("0x41", "0xb76"): "ARM1176",
    ("0x41", "0xc07"): "Cortex-A7",
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd04"): "Cortex-A35",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0a"): "Cortex-A75",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd0d"): "Cortex-A77",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd44"): "Cortex-X1",
    ("0x41", "0xd46"): "Cortex-A510",
    ("0x41", "0xd47"): "Cortex-A710",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x41", "0xd80"): "Cortex-A520",
    ("0x41", "0xd81"): "Cortex-A720",
    ("0x41", "0xd83"): "Neoverse-V3AE",
    ("0x4e", "0x003"): "Denver 2",
    ("0x4e", "0x004"): "Carmel",
}


def facts(tree: DeviceTree, root: Path = Path("/")) -> Dict[str, str]:
    """What can be told of "soc", "clusters", "gpu", and of a Jetson's software.

    Args:
        tree: of the board.
        root: of the file system, or of a made-up one.
    """
    found = {"soc": tree.soc, "clusters": _clusters(root)}
    gpu = find_gpu(root)
    if gpu is not None:
        found["gpu"] = gpu.name
    if family(tree) == JETSON:
        found.update(jetpack.facts(root))
    return {name: text for name, text in found.items() if text}


def arm_cores(cpuinfo: str) -> str:
    """The kinds of cores in a Linux on Arm, "4 Cortex-A55 + 4 Cortex-A76"; empty where they are not told."""
    implementers = re.findall(r"^CPU implementer\s*:\s*(0x[0-9a-f]+)\s*$", cpuinfo, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*:\s*(0x[0-9a-f]+)\s*$", cpuinfo, re.MULTILINE)
    if len(implementers) != len(parts):
        return ""
    names = [_CORES.get(core, f"implementer {core[0]} part {core[1]}") for core in zip(implementers, parts)]
    return " + ".join(f"{count} {name}" for name, count in Counter(names).items())


def _clusters(root: Path) -> str:
    """The cores of each kind; empty where all are alike."""
    folders = list_folder(root / clusters.CPU, "cpu[0-9]*")
    groups = clusters.kinds([int(folder.name[3:]) for folder in folders if folder.name[3:].isdigit()], root)
    return clusters.in_words(groups) if len(groups) > 1 else ""
