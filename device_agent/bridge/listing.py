"""What `adb devices -l` says, and what a person can do about a phone that it cannot use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

#: Shown for a phone without a serial number.
NO_SERIAL = ("(no serial number)", "????????????")
READY = "device"

_HEADING = "List of devices attached"
# "no permissions" goes on in words that differ with the version, and ends with an address in brackets.
_LINE = re.compile(
    r"(?P<serial>\(no serial number\)|\S+)\s+(?P<state>no permissions.*?|\S+)(?P<rest>(?:\s+[\w-]+:\S*)*)\s*"
)
_PROPERTY = re.compile(r"\b(usb|product|model|device|transport_id):(\S+)")
_USB_PATH = re.compile(r"[0-9]+-[0-9.]+")


@dataclass(frozen=True)
class Attached:
    """A line of ``adb devices -l``.

    Attributes:
        serial: two phones may show the same.
        state: "device", "unauthorized", "offline", "recovery", …
        transport_id: of this attachment: tells two phones with one serial apart; empty where adb does not say.
        properties: "product", "model", "device", "usb", as far as adb says.
    """

    serial: str
    state: str
    transport_id: str
    properties: Dict[str, str]

    @property
    def usb(self) -> str:
        """Its port, such as "usb:1-2.3"; empty for one that comes over the network."""
        path = self.properties.get("usb", "")
        return f"usb:{path}" if path else ""

    @property
    def where(self) -> str:
        """For people: its serial and its port."""
        return f"{self.serial} ({self.usb})" if self.usb else self.serial


def parse_devices(text: str) -> List[Attached]:
    """Read the listing; lines of another form, such as news of the server, are passed over.

    Args:
        text: what the program printed.
    """
    _, heading, listing = text.partition(_HEADING)
    found = []
    for line in listing.splitlines() if heading else ():
        match = _LINE.fullmatch(line.strip())
        if match is None or line.startswith("*"):
            continue
        properties = dict(_PROPERTY.findall(match["rest"]))
        state = "no permissions" if match["state"].startswith("no permissions") else match["state"]
        found.append(Attached(match["serial"], state, properties.pop("transport_id", ""), properties))
    return found


def trouble(attached: Attached, root: Path = Path("/")) -> str:
    """Why a phone cannot be used as it is attached; a second line says what to do. Empty: it can.

    Args:
        attached: as it was listed.
        root: of the file system, or of a made-up one; names the maker of what is on a USB port.
    """
    state = attached.state
    if state == READY:
        return ""
    if state == "no permissions":
        vendor = _vendor(attached, root)
        rule = f'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{vendor}", MODE="0660", GROUP="plugdev", TAG+="uaccess"'
        how = "the four digits that lsusb shows before the colon" if vendor == "XXXX" else ""
        return (
            f"phone {attached.where}: no permission to open its USB port\n"
            f"write this line into /etc/udev/rules.d/51-android.rules{f' (XXXX: {how})' if how else ''}: {rule} ; then "
            "udevadm control --reload, add the agent's user to the group plugdev, adb kill-server, and plug it in again"
        )
    advice = {
        "unauthorized": "unlock it and confirm «Allow USB debugging», with «Always allow from this computer»",
        "authorizing": "unlock it and confirm «Allow USB debugging», with «Always allow from this computer»",
        "offline": "plug it in again; if it stays, switch USB debugging off and on in its developer options",
        "recovery": "it is in recovery mode: let it start Android",
        "rescue": "it is in rescue mode: let it start Android",
        "sideload": "it waits for an update by sideload: let it start Android",
        "bootloader": "it is in its boot loader: let it start Android",
        "connecting": "it is connecting; if it stays, plug it in again",
    }.get(state, "plug it in again")
    if state == "offline" and not attached.usb:
        # Of a network link that broke adb keeps the ruin, and calls it connected.
        advice = f"adb disconnect {attached.serial}; adb connect {attached.serial}"
    return f"phone {attached.where}: {state}\n{advice}"


def _vendor(attached: Attached, root: Path) -> str:
    """Of the USB device, four hexadecimal digits; "XXXX" where it cannot be read."""
    path = attached.properties.get("usb", "")
    if _USB_PATH.fullmatch(path):
        try:
            vendor = (root / "sys/bus/usb/devices" / path / "idVendor").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return "XXXX"
        if re.fullmatch("[0-9a-f]{4}", vendor):
            return vendor
    return "XXXX"
