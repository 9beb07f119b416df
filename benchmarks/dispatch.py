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
  measurements is given beside it, and the processor time of each process. Then the same to eight agents.

Where ``GAUNTLET_TVM_PYTHON`` names a Python with apache-tvm 0.27, tornado, psutil and cloudpickle, Apache TVM's RPC
takes its turns in the same blocks: its own tracker and server, over TCP on loopback, a 300 kB module (a vector
addition, filled up behind its end), and for each job a session, the upload, the load and
`time_evaluator(number=10, repeat=3)`. That runs a kernel of a tenth of a microsecond 31 times: TVM's time is all
overhead, and the job of ours that does the same is (c). *Patched*: every TCP socket of tracker, server and client has
TCP_NODELAY, set from outside.

Target: a median of at most 5 ms for (a) and (b), a twentieth of TVM's and a fifth of patched TVM's.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil

from benchmarks import _floor, _stats, _tvm
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
STOCK, PATCHED = "TVM, stock", "TVM, with TCP_NODELAY"
BELOW = {STOCK: 20.0, PATCHED: 5.0}
MANY = 8
FLOOR, BUSY_FLOOR = "floor: bare gRPC call", "floor, back to back"


#: Seconds of each job.
Seconds = Sequence[float]


@dataclass
class Way:
    """One transport: a lab, the client of it, and a bare server beside it."""

    name: str
    lab: Lab
    client: Client
    floor: Callable[[bytes], Awaitable[bytes]]
    agents: int = 1


class Course:
    """Jobs with one model over one transport."""

    def __init__(self, way: Way, model: bytes) -> None:
        self.way = way
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._model = model
        self._number = 0

    async def warm_up(self, rounds: int) -> None:
        """Upload the model, and forget so many turns."""
        await self.prepare(0)
        for _ in range(rounds):
            await self.turn()
        self.seconds.clear()

    async def prepare(self, jobs: int) -> None:
        """Upload the model, and have it measured so often, by whichever agents."""
        self._known = await self.way.client.put_bytes(self._model, MODEL_TYPE, "known")
        await self.way.client.run([short_job(self._known) for _ in range(jobs)])

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
            "agents": self.way.agents,
            "jobs": jobs,
            "jobs/s": jobs / wall_s,
            "ms/job": wall_s / jobs * 1e3,
            # Of several agents the measurements overlap in part: nothing to take off.
            "less worker": (wall_s - worker_s) / jobs * 1e3 if self.way.agents == 1 else None,
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
        return asyncio.run(_measure(blocks=2, block=5, warm=3, batch=20, peer_jobs=2))
    return asyncio.run(_measure(blocks=10, block=20, warm=20, batch=200, peer_jobs=10))


async def _measure(blocks: int, block: int, warm: int, batch: int, peer_jobs: int) -> Report:
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
        peers, absent = _peers(stack, folder)
        for course in courses:
            await course.warm_up(warm)
        taken: dict[str, list[float]] = defaultdict(list)
        for _ in range(blocks):
            for course in courses:
                for _ in range(block):
                    await course.turn()
            for name, fleet in peers.items():
                seconds, _ = await asyncio.to_thread(fleet.run, peer_jobs)
                taken[name] += seconds
        for course in courses:
            await course.busy_floor(blocks * block)
        queued = [await course.queued(batch) for _ in range(3) for course in courses]
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gauntlet-")))
        lab = stack.enter_context(Lab(folder, tcp_address(), MANY))
        client = await stack.enter_async_context(Client(lab.address))
        many = Course(Way("TCP loopback", lab, client, courses[-1].way.floor, MANY), model)
        await many.prepare(warm * MANY)
        peers, _ = _peers(stack, folder, MANY)
        rates: dict[str, list[float]] = defaultdict(list)
        for _ in range(3):
            queued.append(await many.queued(batch))
            for name, fleet in peers.items():
                seconds, wall_s = await asyncio.to_thread(fleet.run, peer_jobs)
                rates[name].append(len(seconds) / wall_s)
    beside = _beside(courses[-1].seconds, taken, queued, rates, absent)
    return Report([_overheads(courses, len(model)), _rates(queued), *beside])


def _peers(stack: contextlib.AsyncExitStack, folder: Path, size: int = 1) -> tuple[dict[str, _tvm.Fleet], str]:
    """Stock and patched TVM with so many servers and clients; or none, and why."""
    try:
        module = _tvm.write_module(folder)
    except _tvm.MissingError as error:
        return {}, str(error)
    ways = {STOCK: False, PATCHED: True}
    return {
        name: stack.enter_context(_tvm.Fleet(folder / f"tvm-{nodelay}", module, size, nodelay))
        for name, nodelay in ways.items()
    }, ""


def _beside(
    ours: dict[str, list[float]],
    theirs: dict[str, list[float]],
    queued: list[Row],
    rates: dict[str, list[float]],
    absent: str,
) -> list[Table]:
    """Beside TVM: one job at a time, and as many as they take."""
    single = Table("One job at a time over TCP, beside Apache TVM's RPC")
    rate = Table("Jobs per second over TCP, beside Apache TVM's RPC")
    if absent:
        return [Table(single.title, notes=[f"Beside Apache TVM: absent, {absent}"])]
    medians = {name: _stats.median(seconds) for name, seconds in theirs.items()}
    for what, seconds in [*((name, ours[name]) for name in (CACHED, UNSEEN, UPLOADED)), *theirs.items()]:
        median_s = _stats.median(seconds)
        aimed_at = what in (CACHED, UNSEEN)
        single.rows.append(
            {
                "what": what if what in theirs else f"Gauntlet, {what}",
                "jobs": len(seconds),
                "median ms": median_s * 1e3,
                "p99 ms": _stats.quantile(seconds, 0.99) * 1e3,
                **{f"× below {name}": medians[name] / median_s for name in medians},
                "target": " and ".join(f"≥ {least:g}×" for least in BELOW.values()) if aimed_at else None,
                "verdict": all(medians[name] / median_s >= BELOW[name] for name in medians) if aimed_at else None,
            }
        )
    single.notes.append(
        "Ours less the measurement; TVM's measurement takes microseconds. Upload included: ours (c), TVM."
    )
    for size in (1, MANY):
        ours_per_s = [row["jobs/s"] for row in queued if row["agents"] == size and row["transport"] == "TCP loopback"]
        per_s = {"Gauntlet, queued, cached": _stats.median(ours_per_s)}
        for name, seconds in theirs.items():
            per_s[name] = len(seconds) / sum(seconds) if size == 1 else _stats.median(rates[name])
        for what, value in per_s.items():
            row = {"what": what, "devices": size, "jobs/s": value}
            rate.rows.append({**row, **{f"× {name}": value / per_s[name] for name in theirs}})
    rate.notes.append(
        "TVM: a client for each server, one job after another. Gauntlet: the measurement is part of its rate,"
    )
    rate.notes.append("and agents on one machine measure one at a time: eight of them cannot be faster than one.")
    return [single, rate]


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
                    "p99 ms": _stats.quantile(values_ms, 0.99),
                    "× floor": median_ms / floor_ms,
                    "target": f"≤ {TARGET_MS:g} ms" if aimed_at else None,
                    "verdict": median_ms <= TARGET_MS if aimed_at else None,
                }
            )
    return table


def _rates(rows: list[Row]) -> Table:
    notes = [
        "Three batches each, in turns. ms/job less worker: between two measurements, where one agent is asked.",
        "CPU ms: processor time for each job; that of the workers is mostly the measurement itself.",
    ]
    return Table("Queued at once, model cached", sorted(rows, key=lambda row: (row["agents"], row["transport"])), notes)


if __name__ == "__main__":
    main(run, __doc__)
