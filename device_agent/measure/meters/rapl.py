"""RAPL, the energy counters of Intel and AMD processors (Linux power capping framework).

/sys/class/powercap/intel-rapl:N is a package, or psys; intel-rapl:N:M is a part of package N: core, uncore (both inside
the package's figure) or dram (beside it). `energy_uj` counts microjoules and starts again at `max_energy_range_uj`.
"""

from __future__ import annotations

from typing import Dict, List, Tuple

from device_agent.measure.meters.base import PROCESSOR, Facts, Files, Meter, NoMeter, no_permission
from device_agent.measure.meters.counters import Counter, CounterMeter

_ZONES = "sys/class/powercap/intel-rapl:*"
# The hardware counts in steps of 2^-14 J and updates about every millisecond (Intel SDM 3B, "Package RAPL Domain").
_STEP_J = 2.0**-14
_UPDATE_S = 1e-3


def find_rapl(files: Files) -> Meter:
    """Packages and their memory; other zones are told apart.

    Args:
        files: of the machine.
    """
    counters: List[Counter] = []
    paths: Dict[str, str] = {}
    denied = broken = ""
    for folder in files.glob(_ZONES):
        name = ""
        try:
            name = files.read(f"{folder}/name")
            wrap_j = int(files.read(f"{folder}/max_energy_range_uj")) / 1e6
            int(files.read(f"{folder}/energy_uj"))
        except PermissionError:
            denied = denied or f"{folder}/energy_uj"
            continue
        except (OSError, ValueError) as error:
            if name.startswith("package"):
                broken = broken or f"the counter of {name} (/{folder}) cannot be read: {error}"
            continue
        rail, counted = _rail(folder, name)
        if rail not in paths:
            paths[rail] = f"{folder}/energy_uj"
            counters.append(Counter(rail, wrap_j, counted))
    # What is left would be a part that looks like the whole.
    if broken:
        return NoMeter(broken)
    if denied:
        return NoMeter(no_permission(denied, "powercap"))
    total = tuple(counter.rail for counter in counters if counter.counted)
    if not any(rail.startswith("package") for rail in total):
        return NoMeter("no RAPL counter (/sys/class/powercap/intel-rapl:*)")
    facts = Facts(
        source="RAPL " + " + ".join(total),
        covers=PROCESSOR,
        counted=total,
        apart=tuple(counter.rail for counter in counters if not counter.counted),
        step_j=_STEP_J,
        update_s=_UPDATE_S,
        remark="processor and memory, not the rest of the machine"
        if any("dram" in rail for rail in total)
        else "processor packages, neither memory nor the rest of the machine",
    )
    return CounterMeter(facts, counters, lambda: {rail: int(files.read(path)) / 1e6 for rail, path in paths.items()})


def _rail(folder: str, name: str) -> Tuple[str, bool]:
    """The zone's name, unique over packages, and whether it is part of the total."""
    index = folder.split("intel-rapl:")[-1].split(":")
    if len(index) == 1:
        # psys is the whole platform on some laptops and a part of it, or nothing, on others.
        return name, name.startswith("package")
    return f"{name}-{index[0]}", name == "dram"
