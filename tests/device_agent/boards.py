"""File trees of real boards, as their kernels lay them out, and stand-ins for clocks, tickers and libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

Tree = Dict[str, str]


def tree(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below a root."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class ManualTicker:
    """Calls when told, not by a thread."""

    def __init__(self, work: Callable[[], object], period_s: float) -> None:
        self.work, self.period_s = work, period_s
        self.running = self.silent = False

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def silence(self, wanted: bool) -> None:
        self.silent = wanted

    def tick(self) -> None:
        if self.running and not self.silent:
            self.work()


class FakeFiles:
    """Files in memory, some of which may raise instead of telling."""

    def __init__(self, files: Mapping[str, str], errors: Optional[Mapping[str, Exception]] = None) -> None:
        self.files = dict(files)
        self.errors = dict(errors or {})

    def read(self, path: str) -> str:
        if path in self.errors:
            raise self.errors[path]
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[path].strip()

    def glob(self, pattern: str) -> List[str]:
        # Part by part, like a file system: "*" stops at a slash.
        parts = pattern.split("/")
        found = {"/".join(path.split("/")[: len(parts)]) for path in self.files if path.count("/") >= len(parts) - 1}
        return sorted(path for path in found if all(map(_matches, path.split("/"), parts)))


def _matches(name: str, pattern: str) -> bool:
    return Path(name).match(pattern)


def rapl(packages: Sequence[int], wrap_uj: int = 262_143_328_850, dram: bool = True, psys: bool = False) -> Tree:
    """Intel RAPL with these counts of each package; core and dram count a half and a tenth of it."""
    files: Tree = {}

    def zone(index: str, name: str, count_uj: int) -> None:
        folder = f"sys/class/powercap/intel-rapl:{index}"
        files[f"{folder}/name"] = f"{name}\n"
        files[f"{folder}/energy_uj"] = f"{count_uj}\n"
        files[f"{folder}/max_energy_range_uj"] = f"{wrap_uj}\n"

    for package, count_uj in enumerate(packages):
        zone(str(package), f"package-{package}", count_uj)
        zone(f"{package}:0", "core", count_uj // 2)
        if dram:
            zone(f"{package}:1", "dram", count_uj // 10)
    if psys:
        zone(str(len(packages)), "psys", 3 * packages[0])
    return files


def ina3221_hwmon(address: str, number: int, channels: Mapping[int, Tuple[str, int, int]]) -> Tree:
    """JetPack 5 and later: (label, mV, mA) of channels 1-3, with the shunt voltages and sum that the driver adds."""
    folder = f"sys/bus/i2c/devices/{address}/hwmon/hwmon{number}"
    files = {
        f"{folder}/name": "ina3221\n",
        f"{folder}/in7_label": "sum of shunt voltages\n",
        f"{folder}/in7_input": "9",
    }
    for channel, (label, millivolts, milliamperes) in channels.items():
        files[f"{folder}/in{channel}_label"] = f"{label}\n"
        files[f"{folder}/in{channel}_enable"] = "1\n"
        files[f"{folder}/in{channel}_input"] = f"{millivolts}\n"
        files[f"{folder}/curr{channel}_input"] = f"{milliamperes}\n"
        # Shunt µV: taken for a rail, it would add a watt.
        files[f"{folder}/in{channel + 3}_label"] = f"{label} shunt\n"
        files[f"{folder}/in{channel + 3}_input"] = "5000\n"
        files[f"{folder}/curr{channel + 3}_input"] = "200\n"
    return files


def ina3221_iio(address: str, number: int, rails: Sequence[Tuple[str, int, int]], power: bool = True) -> Tree:
    """JetPack 4 and earlier: (label, mV, mA) of channels 0-2."""
    folder = f"sys/bus/i2c/drivers/ina3221x/{address}/iio:device{number}"
    files = {f"{folder}/name": "ina3221x\n"}
    for channel, (label, millivolts, milliamperes) in enumerate(rails):
        files[f"{folder}/rail_name_{channel}"] = f"{label}\n"
        files[f"{folder}/in_voltage{channel}_input"] = f"{millivolts}\n"
        files[f"{folder}/in_current{channel}_input"] = f"{milliamperes}\n"
        if power:
            files[f"{folder}/in_power{channel}_input"] = f"{millivolts * milliamperes // 1000}\n"
    return files


NANO = ina3221_iio("6-0040", 0, [("POM_5V_IN", 5000, 800), ("POM_5V_GPU", 5000, 100), ("POM_5V_CPU", 5000, 300)])
TX2 = {
    **ina3221_iio("0-0040", 0, [("VDD_SYS_GPU", 19000, 50), ("VDD_SYS_SOC", 19000, 40), ("VDD_4V0_WIFI", 4800, 10)]),
    **ina3221_iio("0-0041", 1, [("VDD_IN", 19000, 400), ("VDD_SYS_CPU", 19000, 100), ("VDD_SYS_DDR", 19000, 60)]),
    **ina3221_iio("0-0042", 2, [("VDD_MUX", 19000, 500), ("VDD_5V0_IO_SYS", 5000, 100), ("VDD_3V3_SYS", 3300, 90)]),
}
ORIN_NANO = ina3221_hwmon(
    "1-0040", 3, {1: ("VDD_IN", 5000, 1400), 2: ("VDD_CPU_GPU_CV", 5000, 400), 3: ("VDD_SOC", 5000, 300)}
)
AGX_ORIN = {
    **ina3221_hwmon(
        "1-0040", 3, {1: ("VDD_GPU_SOC", 19000, 200), 2: ("VDD_CPU_CV", 19000, 100), 3: ("VIN_SYS_5V0", 5000, 800)}
    ),
    **ina3221_hwmon("1-0041", 4, {1: ("NC", 0, 0), 2: ("VDDQ_VDD2_1V8AO", 5000, 200), 3: ("NC", 0, 0)}),
}
AGX_XAVIER = {
    **ina3221_hwmon("1-0040", 3, {1: ("GPU", 19000, 10), 2: ("CPU", 19000, 20), 3: ("SOC", 19000, 30)}),
    **ina3221_hwmon("1-0041", 4, {1: ("CV", 19000, 5), 2: ("VDDRQ", 19000, 15), 3: ("SYS5V", 5000, 400)}),
}
# The GPU's rail reads a little below nothing while the GPU is gated off.
THOR = {
    **ina3221_hwmon(
        "2-0040", 2, {1: ("VDD_GPU", 12000, -33), 2: ("VDD_CPU_SOC_MSS", 12000, 500), 3: ("VIN_SYS_5V0", 5000, 1300)}
    ),
    "sys/bus/i2c/devices/2-0044/hwmon/hwmon3/name": "ina238\n",
    "sys/bus/i2c/devices/2-0044/hwmon/hwmon3/label": "VIN\n",
    "sys/bus/i2c/devices/2-0044/hwmon/hwmon3/in1_input": "20000\n",
    "sys/bus/i2c/devices/2-0044/hwmon/hwmon3/power1_input": "23000000\n",
}

ODPM_MAIN = "sys/bus/iio/devices/iio:device0/energy_value"
ODPM_SUB = "sys/bus/iio/devices/iio:device1/energy_value"


def odpm(cpu_uws: object) -> Tree:
    """A Pixel 6's rails, the big cores' count as given."""
    return {
        ODPM_MAIN: "t=473848\nCH0(T=473848)[S10M_VDD_TPU], 3161249\nCH1(T=473848)[VSYS_PWR_MODEM], 48480309\n"
        f"CH2(T=473848)[VSYS_PWR_RFFE], 9594393\nCH3(T=473848)[S2M_VDD_CPUCL2], {cpu_uws}\n"
        "CH4(T=473848)[S3M_VDD_CPUCL1], 17477139\nCH5(T=473848)[S4M_VDD_CPUCL0], 113447446\n"
        "CH6(T=473848)[S5M_VDD_INT], 12543588\nCH7(T=473848)[S1M_VDD_MIF], 25901660\n",
        ODPM_SUB: "t=473849\nCH0(T=473849)[VSYS_PWR_WLAN_BT], 1000\nCH1(T=473849)[L2S_VDD_AOC_RET], 2000\n"
        "CH2(T=473849)[S2S_VDD_G3D], 88535064\n",
    }


def battery(current: int, voltage: int, status: str = "Discharging") -> Tree:
    """A phone's battery beside its USB port."""
    return {
        "sys/class/power_supply/battery/type": "Battery\n",
        "sys/class/power_supply/battery/status": f"{status}\n",
        "sys/class/power_supply/battery/current_now": f"{current}\n",
        "sys/class/power_supply/battery/voltage_now": f"{voltage}\n",
        "sys/class/power_supply/usb/type": "USB\n",
    }


class FakeNvml:
    """What of `pynvml` is used, for a card of so many watts."""

    class NVMLError(Exception):
        """As in pynvml."""

    def __init__(self, clock: Clock, watts: float = 50.0, counts: bool = True, driver: bool = True) -> None:
        self.clock, self.watts, self.counts, self.driver = clock, watts, counts, driver
        self.gone = False
        self.asked: List[object] = []

    def nvmlInit(self) -> None:
        if not self.driver:
            raise self.NVMLError("NVML Shared Library Not Found")

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        self.asked.append(index)
        return "card"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self.asked.append(uuid)
        return "card"

    def nvmlDeviceGetName(self, handle: str) -> str:
        return "NVIDIA A2"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        if not self.counts or self.gone:
            raise self.NVMLError("GPU is lost" if self.gone else "Not Supported")
        return round(self.clock.now * self.watts * 1000)

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        if self.gone:
            raise self.NVMLError("GPU is lost")
        return round(self.watts * 1000)
