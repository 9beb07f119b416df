"""What Gauntlet weighs: disk, memory, and the wait for it to start.

Run: ``python -m benchmarks.footprint [--quick]``

- *Install*: bytes of the files of the base requirements (what a device gets) and of all that they require in turn, as
  the running environment has them; nothing is downloaded, so versions are those of the lab. Beside it, our own code.
- *Memory*: of the agent, its workers and the orchestrator, idle and after a job. PSS shares pages that several
  processes map among them (so the sum over processes is what the machine loses), RSS counts them in full for each.
- *Start*: wall and processor time of `gauntlet-agent --version` and `gauntlet --help`, and of `gauntlet bench`, which
  starts a lab, measures for one second and ends the lab; the time until its result is printed, less the worker's own,
  is what the user waits for beyond what he asked for.

No target is promised in figures; a base install without torch is (facts of the design: about 100 MB with LiteRT).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from benchmarks import _stats
from benchmarks._lab import MODEL_TYPE, PROJECT, Lab, environment, export_model, result_of, short_job, unix_address
from benchmarks._report import Report, Row, Table, main
from orchestrator.client import SyncClient

OURS = ("device_agent", "fault_injection", "protos", "gauntlet", "orchestrator", "search")
_SETTLE_S = 2.0


def run(quick: bool) -> Report:
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as temporary:
        folder = Path(temporary)
        model = export_model(folder / "model.tflite")
        return Report([install(), memory(folder, model), starts(folder, model, repetitions=2 if quick else 10)])


# ---------------------------------------------------------------------------------------------------------- install


def install() -> Table:
    """Bytes on disk of the base install."""
    closure = requirement_closure("gauntlet")
    sizes = {name: distribution_bytes(name) for name in closure}
    own = sum(code_bytes(PROJECT / name) for name in OURS)
    rows: list[Row] = [
        {"part": name, "version": metadata.version(name), "MB": size / 1e6}
        for name, size in sorted(sizes.items(), key=lambda item: -item[1])
    ]
    rows.append({"part": "gauntlet itself", "version": metadata.version("gauntlet"), "MB": own / 1e6})
    rows.append({"part": "total", "version": "", "MB": (sum(sizes.values()) + own) / 1e6})
    return Table(
        "Base install", rows, ["As pip installed it here, compiled Python included; `make check-agent` makes one."]
    )


def requirement_closure(root: str) -> set[str]:
    """Names of all distributions that `root` requires without extras, directly or not; those that are installed."""
    closure: set[str] = set()
    pending: list[tuple[str, frozenset[str]]] = [(root, frozenset())]
    while pending:
        name, extras = pending.pop()
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            chosen = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if requirement.marker is not None and not any(requirement.marker.evaluate(choice) for choice in chosen):
                continue
            found = re.sub(r"[-_.]+", "-", requirement.name).lower()
            if found not in closure and is_installed(found):
                closure.add(found)
                pending.append((found, frozenset(requirement.extras)))
    return closure


def is_installed(name: str) -> bool:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return bool(metadata.version(name))
    return False


def distribution_bytes(name: str) -> int:
    """Of all files that the installer recorded."""
    total = 0
    for file in metadata.files(name) or []:
        with contextlib.suppress(OSError):
            total += os.path.getsize(str(file.locate()))
    return total


def code_bytes(folder: Path) -> int:
    """Of a package's files, without what Python compiled."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


# ----------------------------------------------------------------------------------------------------------- memory


@dataclass
class Held:
    """Bytes that a process holds; the proportional share where the system tells it."""

    rss: int
    pss: int | None


def memory(folder: Path, model: Path) -> Table:
    """Of the processes of a lab, idle and after a job."""
    place = folder / "memory"
    place.mkdir()
    table = Table("Memory of a lab's processes, MB")
    with Lab(place, unix_address(place)) as lab, SyncClient(lab.address) as client:
        wait_for_workers(lab)
        idle = held_by_all(lab)
        ref = client.put_file(model, MODEL_TYPE)
        [submitted] = client.submit([short_job(ref)])
        result_of(list(client.watch([submitted.job_id]))[-1])
        time.sleep(_SETTLE_S)
        after = held_by_all(lab)
    for name, before in idle.items():
        now = after.get(name)
        table.rows.append(
            {
                "process": name,
                "idle PSS": mega(before.pss),
                "idle RSS": mega(before.rss),
                "after a job PSS": mega(now.pss) if now else None,
                "after a job RSS": mega(now.rss) if now else None,
            }
        )
    agent = [name for name in idle if name != "orchestrator"]
    table.rows.append(
        {
            "process": "agent and workers",
            "idle PSS": total_pss(idle, agent),
            "after a job PSS": total_pss(after, [name for name in agent if name in after]),
        }
    )
    return table


def wait_for_workers(lab: Lab) -> None:
    """Until two workers are up and idle: one to measure, one for peak memory."""
    deadline = time.monotonic() + 30
    while len(lab.workers()) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(_SETTLE_S)


def held_by_all(lab: Lab) -> dict[str, Held]:
    workers = {f"worker {number}": worker for number, worker in enumerate(lab.workers(), 1)}
    processes = {"agent": lab.agent, **workers, "orchestrator": lab.orchestrator}
    return {name: held(process) for name, process in processes.items()}


def held(process: psutil.Process) -> Held:
    try:
        full = process.memory_full_info()
    except psutil.AccessDenied:
        return Held(process.memory_info().rss, None)
    return Held(full.rss, getattr(full, "pss", None))


def mega(count: int | None) -> float | None:
    return None if count is None else count / 1e6


def total_pss(all_held: dict[str, Held], names: Sequence[str]) -> float | None:
    shares = [all_held[name].pss for name in names]
    return None if None in shares else sum(share or 0 for share in shares) / 1e6


# ------------------------------------------------------------------------------------------------------------ starts


def starts(folder: Path, model: Path, repetitions: int) -> Table:
    """Wall and processor time of whole commands."""
    table = Table(f"Start, {repetitions} times each")
    for title, command in (
        ("gauntlet-agent --version", [*script("gauntlet-agent", "device_agent"), "--version"]),
        ("gauntlet --version", [*script("gauntlet", "gauntlet"), "--version"]),
        ("gauntlet --help", [*script("gauntlet", "gauntlet"), "--help"]),
    ):
        timed = [run_timed(command) for _ in range(repetitions)]
        table.rows.append(
            {
                "command": title,
                "wall s": _stats.median([t.wall_s for t in timed]),
                "CPU s": _stats.median([t.cpu_s for t in timed]),
            }
        )
    for title, options, fresh in (
        ("gauntlet bench --seconds 1, first in a folder", [], True),
        ("gauntlet bench --seconds 1, later", [], False),
        ("… without memory and energy", ["--no-memory", "--no-energy"], False),
    ):
        runs = []
        for number in range(max(2, repetitions // 2)):
            lab = folder / (f"bench-{number}" if fresh else "bench-0")
            command = [*script("gauntlet", "gauntlet"), "bench", str(model), "--seconds", "1", "--json", *options]
            runs.append(run_timed([*command, "--lab-dir", str(lab)]))
        table.rows.append(
            {
                "command": title,
                "wall s": _stats.median([one.wall_s for one in runs]),
                "CPU s": _stats.median([one.cpu_s for one in runs]),
                "to the result s": _stats.median([one.said_s for one in runs]),
                "less worker s": _stats.median([one.said_s - worker_s(one.output) for one in runs]),
            }
        )
    table.notes.append(
        "less worker s: until the result, less the worker's time (load, warm-up of 0.5 s or more, timing, peak memory)."
    )
    return table


@dataclass
class TimedRun:
    """A command that ended well; `said_s` after its start its first words came."""

    said_s: float
    wall_s: float
    cpu_s: float
    output: str


def run_timed(command: Sequence[str]) -> TimedRun:
    before = os.times()
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as child:
        assert child.stdout is not None
        output = child.stdout.read(1)
        said_s = time.perf_counter() - begin
        output += child.stdout.read()
    wall_s = time.perf_counter() - begin
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command, output)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return TimedRun(said_s, wall_s, cpu_s, output)


def worker_s(output: str) -> float:
    """The worker's own time in the JSON of `gauntlet bench`, wherever it stands in it."""
    pending = [json.loads(output)]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if "worker_s" in node:
                return float(node["worker_s"])
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    raise RuntimeError("gauntlet bench --json tells no worker_s")


def script(name: str, module: str) -> list[str]:
    """A console script of this environment, or its module where the scripts were not installed."""
    path = Path(sys.executable).with_name(name)
    if path.is_file():
        return [str(path)]
    assert importlib.util.find_spec(module) is not None
    return [sys.executable, "-m", module]


if __name__ == "__main__":
    main(run, __doc__)
