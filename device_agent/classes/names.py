"""Which class a device belongs to: the name that jobs ask for. Names never change; boards without one get it here.

Jetson          jetson-nano, -tx1, -tx2, -xavier-nx, -xavier (AGX), -orin-nano, -orin-nx, -orin (AGX), -thor
Raspberry Pi    raspberrypi3, 4, 5, zero2; a Compute Module as the board whose chip it has
other boards    vendor and board of the device tree: radxa-rock-5b, hardkernel-odroid-n2
anything else   the architecture: x86_64, aarch64
"""

from __future__ import annotations

import re

from device_agent.classes.devicetree import DeviceTree

JETSON, RASPBERRY_PI, OTHER = "jetson", "raspberrypi", "other"

_RASPBERRY = re.compile(r"Raspberry Pi (?:Compute Module )?(Zero 2|\d)", re.I)
_JETSON = re.compile(r"Jetson (?:AGX )?(Orin Nano|Orin NX|Orin|Xavier NX|Xavier|Nano|TX1|TX2|Thor)", re.I)
#: Modules by part number, as "compatible" spells them (Jetson Linux Developer Guide, "Jetson Modules and
#: Configurations"): early JetPacks and carrier boards of others call the model differently. Some AGX Xavier name their
#: carrier only (p2972).
_MODULES = {
    "p3834": "thor",
    "p3701": "orin",
    "p3767-0000": "orin-nx",
    "p3767-0001": "orin-nx",
    "p3767-0002": "orin-nx",
    "p3767": "orin-nano",
    "p3668": "xavier-nx",
    "p2888": "xavier",
    "p2972": "xavier",
    "p3636": "tx2",
    "p3489": "tx2",
    "p3310": "tx2",
    "p3448": "nano",
    "p2180": "tx1",
}
#: Device trees of virtual machines, which say nothing of the hardware.
_MADE_UP = ("linux,", "qemu,", "xen,")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST = 64


def family(tree: DeviceTree) -> str:
    """`JETSON`, `RASPBERRY_PI` or `OTHER`: what is read alike on all of them."""
    if _JETSON.search(tree.model) or any(name.startswith("nvidia,tegra") for name in tree.compatible):
        return JETSON
    if _RASPBERRY.search(tree.model) or any(name.startswith("raspberrypi,") for name in tree.compatible):
        return RASPBERRY_PI
    return OTHER


def class_of(tree: DeviceTree, architecture: str) -> str:
    """What jobs may ask for.

    Args:
        tree: of the board; empty where it has none.
        architecture: as `uname -m` says it.
    """
    raspberry, jetson = _RASPBERRY.search(tree.model), _JETSON.search(tree.model)
    if raspberry:
        return "raspberrypi" + raspberry.group(1).lower().replace(" ", "")
    if jetson:
        return "jetson-" + jetson.group(1).lower().replace(" ", "-")
    if family(tree) == JETSON:
        names = " ".join(tree.compatible)
        return "jetson-" + next((name for part, name in _MODULES.items() if part in names), tree.soc)
    if tree.compatible and not tree.compatible[0].startswith(_MADE_UP):
        return _NOT_IN_NAMES.sub("-", tree.compatible[0])[:_LONGEST]
    return architecture or "unknown"
