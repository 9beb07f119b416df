"""Whole machines as their kernels show them: `/proc`, `/sys`, the device tree, and files of the vendor.

All are made up after public documents; none was recorded on a board. Names of zones, rails and counters: the Jetson
Linux Developer Guide ("Platform Power and Performance") and the device trees of Linux (arch/arm64/boot/dts); flags of
the Raspberry Pi: its documentation (`vcgencmd get_throttled`) and linux/drivers/firmware/raspberrypi.c; RAPL: Linux,
"Power Capping Framework"; values are of the size that users report.
"""

from __future__ import annotations

from typing import Dict, Mapping, Sequence, Tuple

from tests.device_agent.boards import (
    AGX_ORIN,
    NANO,
    ORIN_NANO,
    THOR,
    Tree,
    battery,
    ina3221_hwmon,
    rapl,
)

#: (implementer, part) of /proc/cpuinfo.
A53, A57, A72 = ("0x41", "0xd03"), ("0x41", "0xd07"), ("0x41", "0xd08")
A55, A76, A78AE = ("0x41", "0xd05"), ("0x41", "0xd0b"), ("0x41", "0xd42")
V3AE, CARMEL = ("0x41", "0xd83"), ("0x4e", "0x004")


def board(model: str, *compatible: str) -> Tree:
    """A device tree's two properties."""
    folder = "proc/device-tree"
    return {f"{folder}/model": f"{model}\0", f"{folder}/compatible": "".join(f"{name}\0" for name in compatible)}


def arm(*kinds: Tuple[Tuple[str, str], int, int, int]) -> Tree:
    """Cores by kind: (implementer, part), how many, highest clock in kHz, capacity; 0: not told."""
    files: Tree = {"proc/loadavg": "0.31 0.20 0.10 1/234 5678\n"}
    text, core = "", 0
    for (implementer, part), count, kilohertz, capacity in kinds:
        for _ in range(count):
            text += f"processor\t: {core}\nFeatures\t: fp asimd asimddp\nCPU implementer\t: {implementer}\n"
            text += f"CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {part}\nCPU revision\t: 0\n\n"
            files.update(cpufreq(core, kilohertz))
            if capacity:
                files[f"sys/devices/system/cpu/cpu{core}/cpu_capacity"] = f"{capacity}\n"
            core += 1
    return {**files, "proc/cpuinfo": text}


def cpufreq(core: int, kilohertz: int) -> Tree:
    """A core's clock, at its highest."""
    folder = f"sys/devices/system/cpu/cpu{core}/cpufreq"
    files = {f"{folder}/{name}": f"{kilohertz}\n" for name in ("scaling_cur_freq", "scaling_max_freq")}
    return {**files, f"{folder}/cpuinfo_max_freq": f"{kilohertz}\n", f"{folder}/scaling_governor": "schedutil\n"}


def zones(degrees: Mapping[str, int]) -> Tree:
    """Thermal zones by name, in millidegrees."""
    files: Tree = {}
    for index, (name, millidegrees) in enumerate(degrees.items()):
        files[f"sys/class/thermal/thermal_zone{index}/type"] = f"{name}\n"
        files[f"sys/class/thermal/thermal_zone{index}/temp"] = f"{millidegrees}\n"
    return files


def cooling(names: Sequence[str]) -> Tree:
    """Cooling devices at rest."""
    files: Tree = {}
    for index, name in enumerate(names):
        folder = f"sys/class/thermal/cooling_device{index}"
        files.update({f"{folder}/type": f"{name}\n", f"{folder}/cur_state": "0\n", f"{folder}/max_state": "3\n"})
    return files


def jetson(release: str, revision: str, mode: int, modes: Mapping[int, str]) -> Tree:
    """What Jetson Linux puts beside the kernel's files."""
    return {
        "etc/nv_tegra_release": f"# R{release} (release), REVISION: {revision}, GCID: 1, BOARD: generic\n",
        "etc/nvpmodel.conf": "".join(
            f"< POWER_MODEL ID={n} NAME={name} >\nCPU_A78_0 MIN 0\n" for n, name in modes.items()
        ),
        "var/lib/nvpmodel/status": f"pmode:{mode:04}",
        "dev/nvgpu/igpu0": "",
    }


def gpu(name: str, hertz: int, load: int) -> Tree:
    """A devfreq device; the load is in thousandths."""
    folder = f"sys/class/devfreq/{name}"
    return {f"{folder}/cur_freq": f"{hertz}\n", f"{folder}/device/load": f"{load}\n"}


def over_current(*events: int) -> Tree:
    """Counters of a Jetson's supply protection."""
    folder = "sys/class/hwmon/hwmon9"
    files = {f"{folder}/oc{n}_event_cnt": f"{count}\n" for n, count in enumerate(events, 1)}
    enabled = {f"{folder}/oc{n}_throt_en": "1\n" for n in range(1, len(events) + 1)}
    return {**files, **enabled, f"{folder}/name": "soctherm_oc\n"}


FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
RPI_VOLT = "sys/class/hwmon/hwmon1"


def pi_firmware(flags: str = "0") -> Tree:
    """The firmware's flags, as Raspberry Pi OS' kernel passes them on."""
    return {FIRMWARE: f"{flags}\n", f"{RPI_VOLT}/name": "rpi_volt\n", f"{RPI_VOLT}/in0_lcrit_alarm": "0\n"}


#: What `vcgencmd pmic_read_adc` prints, shortened to some of its rails; users list all of them.
PMIC = """\
     3V3_SYS_A current(1)=0.10000000A
    DDR_VDD2_A current(3)=0.20000000A
    VDD_CORE_A current(7)=2.00000000A
     3V3_SYS_V volt(9)=3.30000000V
    DDR_VDD2_V volt(11)=1.10000000V
    VDD_CORE_V volt(15)=0.75000000V
       EXT5V_V volt(24)=5.10000000V
        BATT_V volt(25)=0.00000000V
"""

JETSON_NANO = {
    **board("NVIDIA Jetson Nano Developer Kit", "nvidia,p3449-0000-b00+p3448-0000-b00", "nvidia,tegra210"),
    **arm((A57, 4, 1_479_000, 0)),
    # PMIC-Die is a constant.
    **zones({"AO-therm": 38_000, "CPU-therm": 31_500, "GPU-therm": 30_000, "PLL-therm": 29_000, "PMIC-Die": 100_000}),
    **cooling(["gpu-balanced", "cpu-balanced", "emergency-balanced", "pwm-fan"]),
    **jetson("32", "7.4", 0, {0: "MAXN", 1: "5W"}),
    **gpu("57000000.gpu", 76_800_000, 0),
    **NANO,
}
JETSON_TX2 = {
    **board("quill", "nvidia,p2597-0000+p3310-1000", "nvidia,tegra186"),
    **arm((("0x4e", "0x003"), 2, 2_035_200, 0), (A57, 4, 2_035_200, 0)),
    **zones({"BCPU-therm": 41_000, "MCPU-therm": 42_000, "Tdiode_tegra": 39_000, "PMIC-Die": 100_000}),
    **jetson("32", "6.1", 3, {0: "MAXN", 3: "MAXP_CORE_ARM"}),
}
XAVIER_NX = {
    **board(
        "NVIDIA Jetson Xavier NX Developer Kit", "nvidia,p3509-0000+p3668-0000", "nvidia,p3668-0000", "nvidia,tegra194"
    ),
    **arm((CARMEL, 6, 1_420_800, 0)),
    **zones({"AO-therm": 40_000, "AUX-therm": 40_500, "CPU-therm": 42_000, "GPU-therm": 41_000, "PMIC-Die": 50_000}),
    **cooling(["cpufreq-cpu0", "devfreq-17000000.gv11b", "pwm-fan"]),
    **jetson("35", "4.1", 2, {0: "MODE_15W_2CORE", 2: "MODE_15W_6CORE", 8: "MODE_20W_6CORE"}),
    **gpu("17000000.gv11b", 114_750_000, 12),
    **ina3221_hwmon(
        "7-0040", 4, {1: ("VDD_IN", 4900, 900), 2: ("VDD_CPU_GPU_CV", 4900, 200), 3: ("VDD_SOC", 4900, 250)}
    ),
}
_ORIN_ZONES = {"cpu-thermal": 48_200, "gpu-thermal": 47_000, "soc0-thermal": 47_500, "tj-thermal": 48_200}
_ORIN_COOLING = ["pwm-fan", "cpufreq-cpu0", "devfreq-17000000.gpu", "cpu-throttle-alert", "hot-surface-alert"]
JETSON_ORIN_NANO = {
    **board(
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        *("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"),
    ),
    **arm((A78AE, 6, 1_728_000, 0)),
    **zones(_ORIN_ZONES),
    **cooling(_ORIN_COOLING),
    **jetson("36", "4.3", 2, {0: "15W", 1: "25W", 2: "MAXN_SUPER"}),
    **gpu("17000000.gpu", 306_000_000, 250),
    **over_current(0, 15, 37),
    **ORIN_NANO,
}
JETSON_AGX_ORIN = {
    **board(
        "NVIDIA Jetson AGX Orin Developer Kit", "nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234"
    ),
    **arm((A78AE, 12, 2_201_600, 0)),
    **zones(_ORIN_ZONES),
    **cooling(_ORIN_COOLING),
    **jetson("36", "3.0", 0, {0: "MAXN", 1: "MODE_15W", 2: "MODE_30W"}),
    **gpu("17000000.gpu", 306_000_000, 0),
    **over_current(0, 0, 0),
    **AGX_ORIN,
}
JETSON_THOR = {
    **board(
        "NVIDIA Jetson AGX Thor Developer Kit", "nvidia,p4071-0000+p3834-0008", "nvidia,p3834-0008", "nvidia,tegra264"
    ),
    **arm((V3AE, 14, 2_601_000, 0)),
    **zones({"cpu-thermal": 53_700, "tj-thermal": 55_100, "soc012-thermal": 55_100, "soc345-thermal": 53_700}),
    **cooling(["pwm-fan", "cpufreq-cpu0", "gpu-throttle-alert", "devfreq-gpu-gpc-0"]),
    **jetson("38", "2.0", 1, {0: "MAXN", 1: "120W"}),
    **gpu("gpu-gpc-0", 1_575_000_000, 0),
    **over_current(0, 8, 813),
    **THOR,
}
PI_3 = {
    **board("Raspberry Pi 3 Model B Plus Rev 1.3", "raspberrypi,3-model-b-plus", "brcm,bcm2837"),
    **arm((A53, 4, 1_400_000, 0)),
    **zones({"cpu-thermal": 51_000}),
    **pi_firmware(),
}
PI_4 = {
    **board("Raspberry Pi 4 Model B Rev 1.4", "raspberrypi,4-model-b", "brcm,bcm2711"),
    **arm((A72, 4, 1_800_000, 1024)),
    **zones({"cpu-thermal": 47_225}),
    **pi_firmware(),
}
PI_5 = {
    **board("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b", "brcm,bcm2712"),
    **arm((A76, 4, 2_400_000, 0)),
    **zones({"cpu-thermal": 52_150}),
    **cooling(["pwm-fan"]),
    **pi_firmware(),
}
ROCK_5B = {
    **board("Radxa ROCK 5B", "radxa,rock-5b", "rockchip,rk3588"),
    **arm((A55, 4, 1_800_000, 530), (A76, 4, 2_400_000, 1024)),
    **zones(
        {"package-thermal": 36_076, "bigcore0-thermal": 36_076, "littlecore-thermal": 35_153, "npu-thermal": 44_000}
    ),
    **cooling(["cpufreq-cpu0", "cpufreq-cpu4", "cpufreq-cpu6", "devfreq-fb000000.gpu", "pwm-fan"]),
    **gpu("fb000000.gpu", 300_000_000, 0),
    # Of Rockchip's own kernel: no number.
    "sys/class/devfreq/fb000000.gpu/device/load": "0@300000000Hz\n",
}
_X86 = "processor\t: 0\nmodel name\t: {}\nflags\t\t: fpu sse4_2 avx avx2 {}\n"
LAPTOP = {
    "sys/class/dmi/id/product_name": "Latitude 7490\n",
    "proc/cpuinfo": _X86.format("Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz", "fma"),
    **cpufreq(0, 4_200_000),
    **cpufreq(1, 4_200_000),
    **zones({"acpitz": 25_000, "iwlwifi_1": 99_000, "x86_pkg_temp": 61_000}),
    **cooling(["Processor", "Processor", "intel_powerclamp"]),
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "0\n",
    **rapl([1_000_000]),
    **battery(800_000, 12_000_000, "Charging"),
    "sys/class/power_supply/battery/capacity": "73\n",
}
#: An AMD server: no cpufreq, no thermal zone, its own sensor in hwmon.
SERVER = {
    "sys/class/dmi/id/product_name": "PowerEdge R7515\n",
    "proc/cpuinfo": _X86.format("AMD EPYC 7302P 16-Core Processor", "fma"),
    "sys/class/hwmon/hwmon0/name": "k10temp\n",
    "sys/class/hwmon/hwmon0/temp1_label": "Tctl\n",
    "sys/class/hwmon/hwmon0/temp1_input": "43250\n",
}
CONTAINER = {".dockerenv": "", "proc/cpuinfo": _X86.format("AMD EPYC", "hypervisor")}
MACHINES: Dict[str, Tree] = {
    "nano": JETSON_NANO,
    "tx2": JETSON_TX2,
    "xavier-nx": XAVIER_NX,
    "orin-nano": JETSON_ORIN_NANO,
    "agx-orin": JETSON_AGX_ORIN,
    "thor": JETSON_THOR,
    "pi3": PI_3,
    "pi4": PI_4,
    "pi5": PI_5,
    "rock5b": ROCK_5B,
    "laptop": LAPTOP,
    "server": SERVER,
    "container": CONTAINER,
}
