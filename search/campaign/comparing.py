"""What a comparison of strategies has found so far, from the logs of its searches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from search.campaign.config import CampaignConfig
from search.campaign.contest import SEARCHED, entrants
from search.comparison import Comparison
from search.errors import SearchError
from search.pareto import Points, Scale, costs, front, hypervolume, hypervolume_series
from search.runlog import read_history

#: Hypervolume to which queries are counted, if the file names none.
_TARGET = 0.95


def comparison_of(folder: Path, config: CampaignConfig) -> Comparison:
    """All searches on one scale: 1 is what all of them together have found.

    Args:
        folder: of the whole run.
        config: of the whole run.

    Raises:
        SearchError: a log that cannot be read, or no seed that every strategy has finished.
    """
    objectives, constraints = config.parsed_objectives(), config.parsed_constraints()
    history = read_history(folder)
    found = [
        (entrant, read_history(entrant.folder).evaluations)
        for entrant in entrants(config, folder)
        if entrant.folder.name in history.notes(SEARCHED)
    ]
    feasible = front([e for _, told in found for e in told], objectives, constraints)
    if not feasible:
        raise SearchError(f"{folder}: no candidate has all figures and keeps all bounds: there is nothing to compare")
    points: Points = np.array([costs(evaluation, objectives) for evaluation in feasible])
    scale = Scale.of(points)
    whole = hypervolume(points, scale)
    runs: dict[str, dict[int, list[float]]] = {label: {} for label in config.searches()}
    for entrant, told in found:
        series = hypervolume_series(told, objectives, constraints, scale)
        runs[entrant.label][entrant.seed] = [value / whole for value in series]
    return Comparison(
        title=config.title,
        runs={label: seeds for label, seeds in runs.items() if seeds},
        budget=config.search.candidates,
        target=config.compare.target or _TARGET,
        notes=(
            f"figures are replayed from {Path(config.replay).name}" if config.replay else "figures are measured",
            "hypervolume is a share of what all searches together found",
        ),
    )
