"""What a dispatch costs: submit → committed result, less the time that the worker measured.

Run: ``python -m benchmarks.dispatch [--quick]``

An orchestrator and an agent run as processes of their own, over a unix socket (the embedded lab) and over TCP on
loopback; both labs are up at once and are used in turns of a few jobs, within which all variants take turns, so that
noise falls on each alike. A warm worker gets tiny jobs (10 samples, no warm-up, no memory, no energy) one after another
from `orchestrator.client.Client`:

    upload          submit ───────────── orchestrator ── agent ──[ worker measures ]── agent ── orchestrator ── watched
    └ (c) with upload┘ └──────── (a), (b) overhead ────┘           not counted         └────── overhead ────────────┘

- (a) *cached*: the agent holds the model. (b) *never seen*: it has a new digest (the file with other bytes behind its
  end, which the runtime ignores), so the agent fetches it. (c) the same, with the client's upload.
- *Floor*: one bare gRPC call with as many bytes as the model has, to another process, with nothing behind it: no
  queue, no disk, no model. "× floor" is the ratio of medians.
- *Floor, back to back*: such calls without the pauses in which the others take their turns. The difference is what
  this machine takes to wake processes that slept, with caches that others have used; a dispatch wakes ten threads.
- *Queued*: jobs submitted at once to one agent; the worker's share is part of the rate, so the time between two
  measurements is given beside it, and the processor time of each process.

Target: a median of at most 5 ms for (a) and (b). For comparison, TVM's RPC took 122 ms for each job with a 300 kB
module, and 27 ms with TCP_NODELAY patched in (another run; the same floor was 0.5–0.7 ms then).
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil

from benchmarks import _floor, _stats
from benchmarks._lab import (
    MODEL_TYPE,
    PROJECT,
    Lab,
    ended,
    export_model,
    result_of,
    short_job,
    start,
    tcp_address,
    unix_address,
)
from benchmarks._report import Report, Row, Table, main
from orchestrator.client import Client
from protos import contract

TARGET_MS = 5.0
CACHED, UNSEEN, UPLOADED = "cached", "never seen", "never seen, with upload"
FLOOR, BUSY_FLOOR = "floor: bare gRPC call", "floor, back to back"


@dataclass
class Way:
    """One transport: a lab, the client of it, and a bare server beside it."""

    name: str
    lab: Lab
    client: Client
    floor: Callable[[bytes], Awaitable[bytes]]


class Course:
    """Jobs with one model over one transport."""

    def __init__(self, way: Way, model: bytes) -> None:
        self.way = way
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._model = model
        self._number = 0

    async def warm_up(self, rounds: int) -> None:
        """Upload the model, and forget so many turns."""
        self._known = await self.way.client.put_bytes(self._model, MODEL_TYPE, "known")
        for _ in range(rounds):
            await self.turn()
        self.seconds.clear()

    async def turn(self) -> None:
        """One of each, in an order that rotates."""
        steps = [self._cached, self._unseen, self._floor]
        first = self._number % len(steps)
        for step in steps[first:] + steps[:first]:
            await step()
        self._number += 1

    async def queued(self, jobs: int) -> Row:
        """Submit so many at once; what one of them costs."""
        client = psutil.Process()
        cpu_s, own = self.way.lab.cpu_s(), client.cpu_times()
        begin = time.perf_counter()
        done = await self.way.client.run([short_job(self._known) for _ in range(jobs)])
        wall_s = time.perf_counter() - begin
        cpu_ms = {name: (value - cpu_s[name]) / jobs * 1e3 for name, value in self.way.lab.cpu_s().items()}
        now = client.cpu_times()
        cpu_ms["client"] = (now.user + now.system - own.user - own.system) / jobs * 1e3
        worker_s = sum(result_of(job).provenance.worker_s for job in done)
        return {
            "transport": self.way.name,
            "jobs": jobs,
            "jobs/s": jobs / wall_s,
            "ms/job": wall_s / jobs * 1e3,
            "less worker": (wall_s - worker_s) / jobs * 1e3,
            **{f"{name} CPU ms": value for name, value in cpu_ms.items()},
        }

    async def busy_floor(self, calls: int) -> None:
        """Bare calls, one right after another."""
        for _ in range(calls):
            begin = time.perf_counter()
            await self.way.floor(self._model)
            self.seconds[BUSY_FLOOR].append(time.perf_counter() - begin)

    async def _cached(self) -> None:
        self.seconds[CACHED].append(await self._overhead_s(self._known))

    async def _unseen(self) -> None:
        data = self._model + f"{self._number:016d}".encode()
        begin = time.perf_counter()
        ref = await self.way.client.put_bytes(data, MODEL_TYPE, "unseen")
        upload_s = time.perf_counter() - begin
        overhead_s = await self._overhead_s(ref)
        self.seconds[UNSEEN].append(overhead_s)
        self.seconds[UPLOADED].append(upload_s + overhead_s)

    async def _floor(self) -> None:
        begin = time.perf_counter()
        await self.way.floor(self._model)
        self.seconds[FLOOR].append(time.perf_counter() - begin)

    async def _overhead_s(self, ref: object) -> float:
        spec = short_job(ref)  # type: ignore[arg-type]
        begin = time.perf_counter()
        [job] = await self.way.client.run([spec])
        elapsed_s = time.perf_counter() - begin
        return elapsed_s - float(result_of(job).provenance.worker_s)


def run(quick: bool) -> Report:
    if quick:
        return asyncio.run(_measure(blocks=2, block=5, warm=3, batch=20))
    return asyncio.run(_measure(blocks=10, block=20, warm=20, batch=200))


async def _measure(blocks: int, block: int, warm: int, batch: int) -> Report:
    async with contextlib.AsyncExitStack() as stack:
        # A short path: a unix socket's has at most 107 characters.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gauntlet-")))
        model = export_model(folder / "model.tflite").read_bytes()
        courses = []
        for name, tcp in (("unix socket", False), ("TCP loopback", True)):
            own = folder / ("tcp" if tcp else "unix")
            own.mkdir()
            lab = stack.enter_context(Lab(own, tcp_address() if tcp else unix_address(own)))
            client = await stack.enter_async_context(Client(lab.address))
            floor_address = tcp_address() if tcp else f"unix:{own / 'floor.sock'}"
            command = ["-m", "benchmarks._floor", floor_address]
            stack.enter_context(ended(start(command, PROJECT, own / "floor.log")))
            channel = await stack.enter_async_context(
                grpc.aio.insecure_channel(floor_address, options=contract.CLIENT_OPTIONS)
            )
            await asyncio.wait_for(channel.channel_ready(), 60)
            courses.append(Course(Way(name, lab, client, _floor.caller(channel)), model))
        for course in courses:
            await course.warm_up(warm)
        for _ in range(blocks):
            for course in courses:
                for _ in range(block):
                    await course.turn()
        for course in courses:
            await course.busy_floor(blocks * block)
        queued = [await course.queued(batch) for _ in range(3) for course in courses]
    return Report([_overheads(courses, len(model)), _rates(queued)])


def _overheads(courses: list[Course], size: int) -> Table:
    table = Table(f"Dispatch overhead: submit → committed result less the measurement ({size / 1000:.0f} kB model)")
    for course in courses:
        floor_ms = _stats.median(course.seconds[FLOOR]) * 1e3
        for what in (CACHED, UNSEEN, UPLOADED, FLOOR, BUSY_FLOOR):
            values_ms = [value * 1e3 for value in course.seconds[what]]
            median_ms = _stats.median(values_ms)
            aimed_at = what in (CACHED, UNSEEN)
            table.rows.append(
                {
                    "transport": course.way.name,
                    "model": what,
                    "jobs": len(values_ms),
                    "median ms": median_ms,
                    "95 % interval": _stats.median_interval(values_ms),
                    "p90 ms": _stats.quantile(values_ms, 0.9),
                    "× floor": median_ms / floor_ms,
                    "target": f"≤ {TARGET_MS:g} ms" if aimed_at else None,
                    "verdict": median_ms <= TARGET_MS if aimed_at else None,
                }
            )
    return table


def _rates(rows: list[Row]) -> Table:
    notes = [
        "Three batches for each transport, in turns. ms/job less worker: between two measurements of the same worker.",
        "CPU ms: processor time for each job; that of the workers is mostly the measurement itself.",
    ]
    return Table("Queued at once to one agent, model cached", sorted(rows, key=lambda row: row["transport"]), notes)


if __name__ == "__main__":
    main(run, __doc__)
