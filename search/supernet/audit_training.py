"""The part of an audit that takes long: networks are trained alone, in an executor, and none of them twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass
from typing import Any

from search.data import Data
from search.executors import executor
from search.spaces import Architecture
from search.spaces.base import Space
from search.supernet.audit_plan import CLEAN, AuditPlan, quantity_of
from search.supernet.errors import TrainingDivergedError
from search.supernet.settings import NOT_BITWISE
from search.supernet.standalone import DataSource, FaultJudgement, Trained, Training, carry_out

_FAULTS = 5_000_011
"""Added to the seed of the faults that inherited weights are judged under."""
_POLL_S = 0.5


def train_sample(
    sample: Sequence[Architecture],
    space: Space,
    source: DataSource,
    data: Data,
    plan: AuditPlan,
    conditions: Sequence[str],
    workers: int,
    memory: MutableMapping[str, Any] | None,
    report: Callable[[str, int, int], None],
) -> tuple[dict[Architecture, list[dict[str, float]]], dict[Architecture, str], float]:
    """Train the networks of a sample alone, each with all seeds, and judge them.

    Args:
        sample: in this order.
        space: of the networks.
        source: of the images.
        data: the same, loaded.
        plan: how, and for what effort.
        conditions: those of the plan that can strike.
        workers: processes; 0: this one.
        memory: what was found before, by key.
        report: see :func:`search.supernet.audit.audit`.

    Returns:
        Accuracies by quantity, seed by seed, of the networks that were trained with all seeds; why others could not be;
        processor seconds, those of what was known included.
    """
    known: MutableMapping[str, Any] = {} if memory is None else memory
    results = dict[tuple[Architecture, int], Any]()
    waiting = dict[Future[Trained], _Wanted]()
    total, spent_s = len(sample) * plan.seeds, 0.0

    def settle(wanted: _Wanted, found: Any) -> None:
        nonlocal spent_s
        results[wanted.architecture, wanted.training.seed] = found
        spent_s += found["cpu_s"]
        report("alone", len(results), total)

    def gather(at_most: int) -> None:
        """Wait until no more trainings than this are under way."""
        while len(waiting) > at_most:
            for future in wait(waiting, _POLL_S, FIRST_COMPLETED).done:
                wanted = waiting.pop(future)
                known[wanted.key] = found = _outcome(future, wanted)
                settle(wanted, found)
            report("alone", len(results), total)

    report("alone", 0, total)
    with executor(workers, plan.settings.threads) as work:
        for architecture in sample:
            if plan.budget_s is not None and spent_s >= plan.budget_s:
                break
            for wanted in _trainings(architecture, space, source, data, plan, conditions):
                if wanted.key in known:
                    settle(wanted, known[wanted.key])
                else:
                    gather(max(0, 2 * workers - 1))
                    waiting[work.submit(carry_out, wanted.training)] = wanted
        gather(0)
    whole, failed = dict[Architecture, list[dict[str, float]]](), dict[Architecture, str]()
    for architecture in sample:
        keys = [(architecture, plan.seed + number) for number in range(plan.seeds)]
        if not all(key in results for key in keys):
            continue
        found = [results[key] for key in keys]
        why = next((one["failed"] for one in found if one["failed"]), "")
        if why:
            failed[architecture] = why
        else:
            whole[architecture] = [one["accuracies"] for one in found]
    return whole, failed, spent_s


@dataclass(frozen=True)
class _Wanted:
    """One training of one network."""

    architecture: Architecture
    training: Training
    key: str


def _trainings(
    architecture: Architecture,
    space: Space,
    source: DataSource,
    data: Data,
    plan: AuditPlan,
    conditions: Sequence[str],
) -> Iterator[_Wanted]:
    for number in range(plan.seeds):
        judgements = tuple(
            FaultJudgement(condition, plan.fault_seed + _FAULTS + number, plan.patterns, plan.images)
            for condition in conditions
        )
        training = Training(space, architecture, source, plan.settings, plan.seed + number, faults=judgements)
        settings = {name: value for name, value in asdict(plan.settings).items() if name not in NOT_BITWISE}
        identity = [space.name, architecture.text, data.digest, settings, training.seed, [*map(asdict, judgements)]]
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        yield _Wanted(architecture, training, key)


def _outcome(future: Future[Trained], wanted: _Wanted) -> dict[str, Any]:
    """What is worth keeping of a training, as plain data."""
    about = {"architecture": wanted.architecture.text, "seed": wanted.training.seed}
    try:
        trained = future.result()
    except TrainingDivergedError as error:
        return {**about, "failed": str(error), "accuracies": {}, "cpu_s": 0.0}
    faulty = {quantity_of(condition): found.mean for condition, found in trained.faulty.items()}
    return {**about, "failed": "", "accuracies": {CLEAN: trained.accuracy.value, **faulty}, "cpu_s": trained.cpu_s}
