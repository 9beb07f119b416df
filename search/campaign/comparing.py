"""What a comparison of strategies has found so far, from the logs of its searches."""

from __future__ import annotations

from pathlib import Path

from search.campaign.config import CampaignConfig
from search.campaign.contest import SEARCHED, entrants
from search.campaign.warm_start import FROM
from search.comparison import Comparison
from search.pareto import Scale, feasible_points, hypervolume, hypervolume_series
from search.runlog import read_history

#: Hypervolume to which queries are counted, if the file names none.
_TARGET = 0.95


def comparison_of(folder: Path, config: CampaignConfig) -> Comparison | None:
    """All searches on one scale: 1 is what all of them together have found.

    Args:
        folder: of the whole run.
        config: of the whole run.

    Returns:
        None as long as there is no seed with which every strategy has searched, or no candidate on a front.

    Raises:
        SearchError: a log that cannot be read.
    """
    objectives, constraints = config.parsed_objectives(), config.parsed_constraints()
    history = read_history(folder)
    found = [
        (entrant, read_history(entrant.folder).evaluations)
        for entrant in entrants(config, folder)
        if entrant.folder.name in history.notes(SEARCHED)
    ]
    points = feasible_points([e for _, told in found for e in told], objectives, constraints)
    seeds = [{entrant.seed for entrant, _ in found if entrant.label == label} for label in config.searches()]
    if len(points) == 0 or not set.intersection(*seeds):
        return None
    scale = Scale.of(points)
    whole = hypervolume(points, scale)
    runs: dict[str, dict[int, list[float]]] = {label: {} for label in config.searches()}
    for entrant, told in found:
        series = hypervolume_series(told, objectives, constraints, scale)
        # What a warm start brought was told first, and is no query.
        first = min(sum(FROM in evaluation.provenance for evaluation in told), len(series) - 1)
        runs[entrant.label][entrant.seed] = [value / whole for value in series[first:]]
    return Comparison(
        title=config.title,
        runs=runs,
        budget=config.search.candidates,
        target=config.compare.target or _TARGET,
        notes=(
            f"figures are replayed from {Path(config.replay).name}" if config.replay else "figures are measured",
            "hypervolume is a share of what all searches together found",
        ),
    )
