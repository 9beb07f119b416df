"""A made-up board: its kernel's files, and vendor commands that behave like the real ones."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Dict, List, Sequence

CPU = "sys/devices/system/cpu"
BIG_LITTLE = {0: [0, 1, 2, 3], 4: [4, 5, 6, 7]}
_RANGES = {0: (300_000, 1_800_000), 4: (500_000, 2_400_000)}
_CAPACITY = {0: 446, 4: 1024}


def tree(root: Path, files: Dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def board(root: Path, boot_id: str = "boot-1", shared_folder: bool = True) -> Path:
    """Eight cores, four little and four big, at the governor schedutil."""
    files = {"proc/sys/kernel/random/boot_id": boot_id}
    for first, cores in BIG_LITTLE.items():
        least, most = _RANGES[first]
        clock = {
            "scaling_governor": "schedutil",
            "scaling_available_governors": "performance powersave schedutil",
            "scaling_min_freq": str(least),
            "scaling_max_freq": str(most),
            "cpuinfo_min_freq": str(least),
            "cpuinfo_max_freq": str(most),
            "related_cpus": " ".join(map(str, cores)),
        }
        folders = [f"{CPU}/cpufreq/policy{first}"] if shared_folder else []
        folders += [f"{CPU}/cpu{core}/cpufreq" for core in cores]
        files.update({f"{folder}/{name}": value for folder in folders for name, value in clock.items()})
        files.update({f"{CPU}/cpu{core}/cpu_capacity": str(_CAPACITY[first]) for core in cores})
    return tree(root, files)


def values(root: Path) -> Dict[str, str]:
    """All that can be changed, by path."""
    return {
        str(path.relative_to(root)): path.read_text().strip()
        for name in ("scaling_governor", "scaling_min_freq", "scaling_max_freq")
        for path in sorted((root / CPU).glob(f"cpufreq/policy*/{name}"))
    }


class Jetson:
    """nvpmodel and jetson_clocks of a board, with what they would do to it."""

    def __init__(self, root: Path) -> None:
        self.mode = "2"
        self.maxed = False
        self.reboot_modes = {"3"}
        self.calls: List[List[str]] = []
        conf = "< POWER_MODEL ID=0 NAME=MAXN >\nx y\n< POWER_MODEL ID=2 NAME=MODE_15W >\n< POWER_MODEL ID=3 NAME=30W >"
        tree(root, {"usr/sbin/nvpmodel": "#!", "usr/bin/jetson_clocks": "#!", "etc/nvpmodel.conf": conf})

    def run(self, command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        words = [Path(command[0]).name, *command[1:]]
        self.calls.append(words)
        return subprocess.CompletedProcess(list(command), 0, self._answer(words), "")

    def _answer(self, words: List[str]) -> str:
        if words[:2] == ["nvpmodel", "-q"]:
            return f"NV Power Mode: MODE_{self.mode}\n{self.mode}\n"
        if words[:2] == ["nvpmodel", "-m"]:
            if words[2] in self.reboot_modes:
                return "NVPM WARN: Reboot required for changing to this power mode: 3\nNVPM WARN: DO YOU WANT TO REBOOT"
            self.mode = words[2]
        elif words == ["jetson_clocks"]:
            self.maxed = True
        elif words[1] == "--store":
            assert not Path(words[2]).exists(), "the real one would ask"
            Path(words[2]).write_text("clocks")
        elif words[1] == "--restore":
            assert Path(words[2]).read_text() == "clocks"
            self.maxed = False
        return ""
