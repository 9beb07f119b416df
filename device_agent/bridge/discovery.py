"""Which phones are there, as they come and go. Pure: listings and times in, what to do out.

    absent ──listed──▶ settling ──steady for a while──▶ wanted ──▶ attached
      ▲                   │  ▲                            │           │
      └─────gone──────────┘  └──────failed, later─────────┘◀──────────┘ gone, lost, or attached anew: at once

Leaving takes effect at once, since whatever a phone does then fails. Coming back takes the longer, the oftener a phone
has come and gone lately: a bad cable costs a job now and then, and not each job.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Dict, List, Mapping, Sequence, Set, Tuple

from device_agent.bridge.listing import NO_SERIAL, Attached, trouble

#: Steady so long before a phone that has left once is taken again; twice as long for each time more.
SETTLE_S = 2.0
MOST_SETTLE_S = 60.0
#: What happened longer ago is forgotten.
FLAPPING_S = 600.0
GONE = "it is not attached any more: unplugged, switched off, or a bad cable"
ANEW = "it was attached anew: its link broke for a moment"


@dataclass
class _Known:
    """A phone that was listed.

    Attributes:
        attached: as it was listed last.
        since_s: steady since then.
        wanted: it was handed out to be attached, and is until it leaves.
        not_before_s: it failed to attach; tried again then.
    """

    attached: Attached
    since_s: float
    wanted: bool = False
    not_before_s: float = 0.0


@dataclass(frozen=True)
class Changes:
    """What follows from a listing.

    Attributes:
        came: phones to attach, by key.
        left: phones to detach, with the reason.
        notices: news for people; a second line says what to do.
    """

    came: List[Tuple[str, Attached]]
    left: List[Tuple[str, str]]
    notices: List[str]


@dataclass
class Tracker:
    """All phones on this machine's ports. A phone's key is its serial number, or the port that a person named it by.

    Attributes:
        names: that a person gave, by serial number or by port ("usb:1-2").
    """

    names: Mapping[str, str]
    _known: Dict[str, _Known] = field(default_factory=dict)
    _departures: Dict[str, List[float]] = field(default_factory=dict)
    _said: Set[str] = field(default_factory=set)

    def see(self, listed: Sequence[Attached], now_s: float) -> Changes:
        """A listing, and what follows from it.

        Args:
            listed: all that is attached now.
            now_s: seconds, monotonic.
        """
        usable, reasons, notices = self._sort(listed)
        self._forget(now_s)
        left = []
        for key, known in list(self._known.items()):
            present = usable.get(key)
            if present is None or not _same(present, known.attached):
                del self._known[key]
                if known.wanted:
                    left.append((key, reasons.get(key, GONE) if present is None else ANEW))
                self._departed(key, now_s)
        came = []
        for key, attached in usable.items():
            known = self._known.setdefault(key, _Known(attached, now_s))
            steady = now_s - known.since_s >= self._settle_s(key)
            if not known.wanted and steady and now_s >= known.not_before_s:
                known.wanted = True
                came.append((key, attached))
        new = [notice for notice in notices if notice not in self._said]
        self._said = set(notices)  # said again when it is over and comes back
        return Changes(came, left, new)

    def lost(self, key: str, now_s: float) -> None:
        """It was found out otherwise that a phone is not usable: it settles anew."""
        if self._known.pop(key, None) is not None:
            self._departed(key, now_s)

    def failed(self, key: str, again_s: float) -> None:
        """It could not be attached.

        Args:
            key: of the phone.
            again_s: when to try again, on the clock of `see`.
        """
        known = self._known.get(key)
        if known is not None:
            known.wanted, known.not_before_s = False, again_s

    def _sort(self, listed: Sequence[Attached]) -> Tuple[Dict[str, Attached], Dict[str, str], List[str]]:
        """Phones that can be used, why others cannot that may have been, and what to tell people."""
        usable: Dict[str, Attached] = {}
        reasons: Dict[str, str] = {}
        notices: List[str] = []
        alike: Dict[str, List[Attached]] = {}
        for attached in listed:
            key = attached.usb if attached.usb in self.names else attached.serial
            why_not = trouble(attached)
            if why_not:
                notices.append(why_not)
                reasons[key] = attached.state
            elif key == attached.serial:
                alike.setdefault(key, []).append(attached)
            else:
                usable[key] = attached
        for serial, phones in alike.items():
            if len(phones) == 1 and serial not in NO_SERIAL:
                usable[serial] = phones[0]
            else:
                reasons[serial] = f"another phone shows the serial number {serial}, too"
                notices.append(_ambiguous(serial, phones))
        return usable, reasons, notices

    def _departed(self, key: str, now_s: float) -> None:
        self._departures.setdefault(key, []).append(now_s)

    def _forget(self, now_s: float) -> None:
        recent = {key: [at for at in times if now_s - at < FLAPPING_S] for key, times in self._departures.items()}
        self._departures = {key: times for key, times in recent.items() if times}

    def _settle_s(self, key: str) -> float:
        times = len(self._departures.get(key, []))
        return min(MOST_SETTLE_S, SETTLE_S * 2.0 ** min(times - 1, 10)) if times else 0.0


def file_name(key: str) -> str:
    """A phone's key, or its serial number, as the name of a file; no two have the same."""
    safe = re.sub("[^A-Za-z0-9._-]", "-", key)
    return safe if safe == key and len(key) <= 64 else f"{safe[:40]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _same(one: Attached, other: Attached) -> bool:
    """One attachment? What adb tells of the phone beside that comes when it comes."""
    return (one.serial, one.transport_id, one.usb) == (other.serial, other.transport_id, other.usb)


def _ambiguous(serial: str, phones: Sequence[Attached]) -> str:
    ports = [attached.usb or f"transport {attached.transport_id}" for attached in phones]
    if serial in NO_SERIAL:
        what = f"phones without a serial number at {', '.join(ports)}"
    else:
        what = f"{len(phones)} phones show the serial number {serial}: at {', '.join(ports)}"
    named = " ".join(f"--phone {attached.usb}=NAME" for attached in phones if attached.usb)
    return f"{what}; none of them is used\nname them by their ports: {named or 'attach them by USB'}"
