"""An audit of a finished supernet, on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from search.campaign.config import parse
from search.campaign.problem import Problem, audit_training
from search.errors import SearchError
from search.report import audit_document
from search.runlog import read_history
from search.spaces.mobile import MobileSpace
from search.supernet import Supernet, audit, load_weights


def audit_run(
    folder: Path, subnets: int, seeds: int, progress: Callable[[int, int], None] | None = None
) -> Mapping[str, Any]:
    """Train a sample of the run's networks alone, and compare with what they inherit.

    Args:
        folder: of the run.
        subnets: how many.
        seeds: trainings of each.
        progress: called with trainings done and in all.

    Raises:
        SearchError: no run, or no supernet in it.
        SupernetError: its checkpoint cannot be read, or a training diverged.
    """
    history = read_history(folder)
    config = parse(dict(history.about["config"]), str(folder))
    checkpoint = folder / "supernet.pt"
    if not checkpoint.exists():
        raise SearchError(f"{folder} holds no supernet", f"train it: gauntlet search --resume {folder}")
    asked = Problem.of(config)
    if asked.data is None or not isinstance(asked.space, MobileSpace):
        raise SearchError(f"{folder} holds no supernet", "audit a run whose candidates share weights")
    data, supernet = asked.data, Supernet(asked.space, seed=config.seed)
    load_weights(checkpoint, supernet)
    settings = audit_training(config)
    found = audit(supernet, data, subnets=subnets, seeds=seeds, settings=settings, seed=config.seed, progress=progress)
    return audit_document(found)
