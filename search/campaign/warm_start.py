"""What earlier campaigns measured, learned from before the first candidate is asked for.

Accuracy belongs to weights, so that it says something about this campaign only if the networks of the other one were
trained in the same way; what a network costs on a device belongs to the architecture. So of an earlier run

- all figures that this campaign asks for, from one that trained and measured alike: the candidate enters as told. It
  counts towards the front and is not measured again;
- anything else: figures for predictors to learn from, no candidates.

A failure on a device that this campaign does not name is none here. All is copied into the log, so that the run goes
on without the earlier one's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.campaign.config import CampaignConfig, parse
from search.campaign.problem import Problem
from search.evaluations import Evaluation
from search.objectives import derived
from search.replay.recording import failed_on
from search.replay.table import Table
from search.runlog import History, RunLog, read_history
from search.spaces.base import SpaceError

_NOTE = "warm start"
#: Where a candidate came from, in its provenance.
FROM = "warm start"
#: What decides a candidate's weights and how its accuracy is measured.
_TRAINED_ALIKE = ("data", "seed", "space", "weights", "supernet", "training", "measure", "faults")
#: Figures that belong to weights and not to the architecture.
_OF_WEIGHTS = ("accuracy", "inherited_accuracy", "fine_tuned_accuracy", "trained_accuracy", "export_agreement")


def enter(log: RunLog, problem: Problem, say: Callable[[str], None]) -> int:
    """Take in what the campaign's `warm_start` names, once in the life of a run.

    Args:
        log: of the run; what is taken in is appended.
        problem: of the campaign.
        say: told what was taken in.

    Returns:
        How many candidates entered as told: they do not count towards the budget.

    Raises:
        SearchError: a run or a table that cannot be read, or a table of another space.
    """
    if not problem.config.warm_start:
        return 0
    if not log.history.notes(_NOTE):
        entered, learned = collect(problem)
        log.note(_NOTE, {"entered": [e.to_json() for e in entered], "learned": [e.to_json() for e in learned]})
        say(f"warm start: {len(entered)} candidates known already, figures of {len(learned)} others to learn from")
    entered = _read(log.history, "entered")
    if entered and not log.history.asked:
        log.asked([evaluation.architecture for evaluation in entered])
    for evaluation in entered:
        if evaluation.number not in log.history.told:  # a crash came between
            log.told(evaluation)
    return len(entered)


def learned(history: History) -> list[Evaluation]:
    """What predictors may learn from, none of it a candidate of this run."""
    return _read(history, "learned")


def _read(history: History, part: str) -> list[Evaluation]:
    return [Evaluation.from_json(document) for note in history.notes(_NOTE) for document in note[part]]


def collect(problem: Problem) -> tuple[list[Evaluation], list[Evaluation]]:
    """What the campaign's `warm_start` names: candidates that enter as told, and what there is to learn from besides.

    Raises:
        SearchError: see `enter`.
    """
    wanted = [quantity.name for quantity in problem.config.quantities()]
    entered: dict[str, Evaluation] = {}
    learned: dict[str, Evaluation] = {}
    for name in problem.config.warm_start:
        path = Path(name)
        evaluations, alike = _table(path, problem) if path.is_file() else _run(path, problem)
        for evaluation in evaluations:
            try:
                text = problem.space.parse(evaluation.architecture).text
            except SpaceError:
                continue  # of another space
            found = replace(
                evaluation,
                architecture=text,
                figures={**evaluation.figures, **derived(evaluation.figures, problem.config.aggregates())},
                digests={},
                failure=evaluation.failure if _fails_here(evaluation, problem.config) else None,
                provenance={**evaluation.provenance, FROM: f"{path.name}, candidate {evaluation.number}"},
            )
            known = found.failure is None and all(found.value(name).value is not None for name in wanted)
            if alike and known:
                entered.setdefault(text, replace(found, number=len(entered)))
            else:
                learned.setdefault(text, _without_weights(found) if not alike else found)
    return list(entered.values()), [e for text, e in learned.items() if text not in entered]


def _run(folder: Path, problem: Problem) -> tuple[Sequence[Evaluation], bool]:
    history, config = read_history(folder), problem.config
    other = parse(dict(history.about["config"]), str(folder))
    same = all(getattr(config, key) == getattr(other, key) for key in (*_TRAINED_ALIKE, "replay"))
    return history.evaluations, same and history.notes("space")[:1] == [problem.space.name]


def _table(path: Path, problem: Problem) -> tuple[Sequence[Evaluation], bool]:
    """A table's figures are replayed ones: they enter a campaign only if all of it is replayed from the same table."""
    table = Table.read(path, problem.whole_space)
    rows = [table.space.parse(text) for text in table.rows]
    wanted = problem.config.quantities()
    return [table.evaluation(number, architecture, wanted) for number, architecture in enumerate(rows)], False


def _fails_here(evaluation: Evaluation, config: CampaignConfig) -> bool:
    devices, here = failed_on(evaluation), config.devices()
    return "" in devices or not here or not set(here).isdisjoint(devices)


def _without_weights(evaluation: Evaluation) -> Evaluation:
    figures: dict[str, Any] = {
        name: value for name, value in evaluation.figures.items() if name.split("@")[0] not in _OF_WEIGHTS
    }
    return replace(evaluation, figures=figures, faults=())
