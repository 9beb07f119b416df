"""What is worth reading on each family of devices, as data.

Which cores are big is told by the kernel everywhere (`tuning.clusters`), which rails add up to a board by their labels
(`meters.jetson`), so neither is listed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

from device_agent.classes.names import JETSON, OTHER, RASPBERRY_PI


@dataclass(frozen=True)
class Defaults:
    """Of a family.

    Attributes:
        thermometers: thermal zones that tell of the processor, the best first; else the hottest zone counts.
        no_thermometers: zones that tell of no silicon that works: a constant, an estimate, a battery.
        slowing: parts of the names of cooling devices that slow the processors down; fans do not.
    """

    thermometers: Tuple[str, ...]
    no_thermometers: Tuple[str, ...] = ()
    slowing: Tuple[str, ...] = ("processor", "cpu")


_SLOWING = ("processor", "cpu", "gpu", "devfreq")
DEFAULTS: Dict[str, Defaults] = {
    # JetPack 4 has CPU-therm, on TX2 one for each kind of cores, and PMIC-Die, which always reads 100 °C; 5 has
    # CPU-therm or cpu-thermal, 6 and 7 the latter. tj-thermal is the hottest of the chip. Cooling devices are named
    # cpu-balanced (4), cpufreq-cpu0, devfreq-17000000.gpu, cpu-throttle-alert, soc0-throttle-alert.
    JETSON: Defaults(
        ("CPU-therm", "cpu-thermal", "BCPU-therm", "MCPU-therm", "tj-thermal", "AO-therm"),
        ("PMIC-Die", "thermal-fan-est"),
        (*_SLOWING, "balanced", "throttle-alert"),
    ),
    RASPBERRY_PI: Defaults(("cpu-thermal", "cpu_thermal"), slowing=_SLOWING),
    # x86: the package's own sensor; acpitz may be anywhere on the board, or a constant. Arm: the processor's, else the
    # whole chip's (RK3588: package-thermal, on the vendor's kernel soc-thermal).
    OTHER: Defaults(
        ("x86_pkg_temp", "cpu-thermal", "cpu_thermal", "CPU-therm", "cpu", "package-thermal", "soc-thermal"),
        ("iwlwifi", "battery"),
        _SLOWING,
    ),
}
