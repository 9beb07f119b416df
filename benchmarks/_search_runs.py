"""One contender, one problem, one seed: what it asked for, in order, and what that cost. All else follows from it."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks._lab import DATA
from benchmarks._search_peers import PEERS, Peer
from benchmarks._yardstick import Problem, Setting
from search.errors import Exhausted
from search.evaluations import Evaluation
from search.strategies.registry import make

if TYPE_CHECKING:
    from search.spaces.base import Architecture

BATCH = 20
#: Proposals in a row that find nothing new, after which a peer has given up.
_DRY = 1000
_OURS = ("guided", "nsga2", "random")
#: By their names in the tables: ours by the names that campaigns use.
CONTENDERS = (*_OURS, *PEERS)


@dataclass(frozen=True)
class Protocol:
    """How long a run is.

    Attributes:
        least: queries that every run makes.
        most: queries at which it ends if it has not reached the target before.
    """

    least: int
    most: int


@dataclass(frozen=True)
class Task:
    """A run to be made."""

    setting: Setting
    contender: str
    seed: int
    protocol: Protocol

    def path(self, folder: Path) -> Path:
        """Of its record."""
        return folder / file_name(self.setting, self.contender, f"{self.seed:03d}.json")


@dataclass(frozen=True)
class Record:
    """A run that was made.

    Attributes:
        asked: texts of the architectures, one for each query.
        repeats: proposals that were known, and so cost nothing.
        refused: proposals of which there is no record.
        cpu_s: processor time of asking and telling.
        protocol: of the run.
    """

    asked: Sequence[str]
    repeats: int
    refused: int
    cpu_s: float
    protocol: Mapping[str, int]


class _Clock:
    """Processor time of the contender alone."""

    def __init__(self) -> None:
        self.spent_s = 0.0

    def __enter__(self) -> None:
        self._begin = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.spent_s += time.process_time() - self._begin


def file_name(setting: Setting, *words: str) -> str:
    """A name of a setting's own."""
    return "_".join([setting.name, setting.accuracy, *words]).replace(" ", "-").replace("+", "and").lower()


def carried_out(tasks: Sequence[Task], folder: Path, processes: int) -> dict[Task, Record]:
    """The records of all tasks; those that lie in the folder are not made again.

    Processes are spawned, with one thread each.

    Raises:
        SystemExit: a record was made by another protocol.
    """
    found = {task: record for task in tasks if (record := _stored(task, folder)) is not None}
    missing = [task for task in tasks if task not in found]
    os.environ.update(OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
    begin = time.monotonic()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(carry_out, task): task for task in missing}
        for number, future in enumerate(as_completed(futures), 1):
            task = futures[future]
            found[task] = future.result()
            task.path(folder).write_text(written(found[task]))
            left_s = (time.monotonic() - begin) / number * (len(missing) - number)
            if number % math.ceil(len(missing) / 20) == 0:
                print(f"  {number}/{len(missing)} runs, {left_s / 60:.1f} min left", file=sys.stderr, flush=True)
    return found


def written(record: Record) -> str:
    """A record as JSON."""
    return json.dumps(asdict(record))


def carry_out(task: Task) -> Record:
    """Make a run."""
    problem = problem_of(task.setting)
    searched = _peer(task, problem) if task.contender in PEERS else _own(task, problem)
    told: list[Evaluation] = []
    end = Record([], 0, 0, 0.0, asdict(task.protocol))
    for evaluations, repeats, refused, cpu_s in searched:
        told = [*told, *evaluations][: task.protocol.most]
        end = Record([e.architecture for e in told], repeats, refused, cpu_s, asdict(task.protocol))
        arrived = len(told) >= task.protocol.least and problem.hypervolume(told) >= task.setting.target
        if arrived or len(told) >= task.protocol.most:
            break
    return end


@lru_cache(maxsize=8)
def problem_of(setting: Setting) -> Problem:
    """Reading a table takes a second."""
    return Problem(setting, DATA)


#: What came of a batch: its answers, and repeats, refusals and processor time so far.
_Batch = tuple[list[Evaluation], int, int, float]


def _own(task: Task, problem: Problem) -> Iterator[_Batch]:
    """One of our strategies, as a campaign would run it."""
    strategy = make(task.contender, problem.space, problem.objectives, seed=task.seed)
    clock, number = _Clock(), 0
    while True:
        try:
            with clock:
                asked = strategy.ask(BATCH)
        except Exhausted:
            return
        answers = [problem.evaluate(number + place, architecture) for place, architecture in enumerate(asked)]
        number += len(answers)
        with clock:
            strategy.tell(answers)
        yield answers, 0, 0, clock.spent_s


def _peer(task: Task, problem: Problem) -> Iterator[_Batch]:
    """One of other people's, with the space's canonical form and a memory in front of it."""
    known: dict[Architecture, Evaluation] = {}
    clock, repeats, refused = _Clock(), 0, 0
    with clock:
        peer: Peer = PEERS[task.contender](problem, task.seed)
    while True:
        waiting = []
        fresh: list[Architecture] = []
        dry = 0
        with clock:
            while len(fresh) < BATCH and dry < _DRY and (proposal := peer.propose()) is not None:
                ticket, architecture = proposal
                dry += 1
                if not problem.space.allows(architecture):
                    refused += 1
                    peer.answer(ticket, None)
                elif architecture in known:
                    repeats += 1
                    peer.answer(ticket, known[architecture])
                else:
                    waiting.append(proposal)
                    if architecture in fresh:
                        repeats += 1
                    else:
                        fresh.append(architecture)
                        dry = 0
        if not fresh:
            return
        answers = [problem.evaluate(len(known) + place, architecture) for place, architecture in enumerate(fresh)]
        known |= dict(zip(fresh, answers, strict=True))
        with clock:
            for ticket, architecture in waiting:
                peer.answer(ticket, known[architecture])
        yield answers, repeats, refused, clock.spent_s


def _stored(task: Task, folder: Path) -> Record | None:
    path = task.path(folder)
    if not path.is_file():
        return None
    record = Record(**json.loads(path.read_text()))
    if record.protocol != asdict(task.protocol):
        sys.exit(f"{path} was made with {dict(record.protocol)}, not {asdict(task.protocol)}: name another --out")
    return record
