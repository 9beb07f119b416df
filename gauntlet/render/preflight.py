"""Was the device fit to measure? What was found before the first timed window, and what went wrong in them."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from protos.figures import value_of
from protos.gauntlet.v1 import measurement_pb2

_BUSY_CORES = 0.2


def line(provenance: measurement_pb2.Provenance) -> Text:
    """The state of the device under the host's lock, in one line; what could not be read comes last."""
    before = provenance.before
    clock, rated = value_of(before.frequency_hz), value_of(before.rated_frequency_hz)
    temperature, others = value_of(before.temperature_c), value_of(before.background_cores)
    parts: list[Text | str] = []
    missing = []
    if before.governor:
        parts.append(f"governor {before.governor}")
    else:
        missing.append("governor")
    if clock is None:
        missing.append("clock")
    else:
        parts.append(f"{clock / 1e9:.2f}{f' of {rated / 1e9:.2f}' if rated is not None else ''} GHz")
    if temperature is None:
        missing.append("temperature")
    else:
        parts.append(f"{temperature:.0f} °C")
    if before.throttling:
        parts += [Text(held_back, "yellow") for held_back in before.throttling]
    elif value_of(before.frequency_limit_hz) is None:
        missing.append("throttling")
    else:
        parts.append("not throttled")
    if others is None:
        missing.append("load by others")
    else:
        parts.append(Text(f"others {others:.2f} cores", "yellow" if others >= _BUSY_CORES else ""))
    if provenance.cpus:
        parts.append(f"core{'s' if len(provenance.cpus) > 1 else ''} {', '.join(map(str, provenance.cpus))}")
    parts.append(f"waited {provenance.host_lock_wait_s:.1f} s for the host")
    if provenance.host_shared:
        parts.append("host shared")
    if missing:
        parts.append(Text(f"unavailable: {', '.join(missing)}", "dim"))
    return Text(" · ", "dim").join([part if isinstance(part, Text) else Text(part) for part in parts])


def unfit(provenance: measurement_pb2.Provenance) -> RenderableType | None:
    """Why the figures are not to be relied on, or None."""
    if not provenance.unfit:
        return None
    reasons = [Padding(Text(reason, "red"), (0, 0, 0, 2)) for reason in provenance.unfit]
    return Group(
        Padding(Text("The device was not fit: do not rely on these figures", "bold red"), (1, 0, 0, 0)), *reasons
    )
