"""What a campaign's settings stand for: data, space, strategy, trainings, seeds."""

from __future__ import annotations

import re

from search.campaign.config import CampaignConfig
from search.data import Data, DataError, load_archive, load_digits
from search.errors import SearchError
from search.evaluations import Evaluation
from search.pareto import front
from search.runlog import History
from search.spaces.base import SpaceError
from search.spaces.mobile import MobileSpace
from search.strategies import Nsga2, RandomSearch, Strategy
from search.supernet import TrainSettings

#: Added to the campaign's seed: the faults by which candidates are chosen, and those on which winners are reported.
_FAULTS, _FINAL_FAULTS = 1_000_003, 2_000_003


def load_data(config: CampaignConfig) -> Data:
    """The data set.

    Raises:
        SearchError: it cannot be read, or makes no problem.
    """
    try:
        return load_digits(config.seed) if config.data == "digits" else load_archive(config.data, config.seed)
    except DataError as error:
        raise SearchError(f"data: {error}", "see docs/search.md for what a data set must hold") from error


def space(config: CampaignConfig, data: Data) -> MobileSpace:
    """The space, for images of the data's size.

    Raises:
        SearchError: its settings contradict each other.
    """
    chosen = config.space
    try:
        return MobileSpace(
            image_shape=data.image_shape,
            classes=data.classes,
            stem=chosen.stem,
            widths=chosen.widths,
            depth=chosen.depth,
            kernels=chosen.kernels,
            expansions=chosen.expansions,
            kinds=chosen.kinds,
        )
    except SpaceError as error:
        raise SearchError(f"space: {error}", "see `gauntlet search --keys`") from error


def strategy(config: CampaignConfig, chosen: MobileSpace) -> Strategy:
    """The strategy at its beginning."""
    objectives, constraints = config.parsed_objectives(), config.parsed_constraints()
    if config.search.strategy == "random":
        return RandomSearch(chosen, objectives, constraints, config.seed)
    return Nsga2(chosen, objectives, constraints, config.seed, population=config.search.population)


def training(config: CampaignConfig) -> TrainSettings:
    """Of the supernet."""
    chosen = config.supernet
    return TrainSettings(
        epochs=chosen.epochs,
        batch=chosen.batch,
        learning_rate=chosen.learning_rate,
        random_subnets=chosen.random_subnets,
        label_share=chosen.label_share,
        seed=config.seed,
        threads=chosen.threads,
    )


def audit_training(config: CampaignConfig) -> TrainSettings:
    """Of networks trained alone."""
    return TrainSettings(
        epochs=config.audit.epochs, learning_rate=0.1, weight_decay=5e-4, threads=config.supernet.threads
    )


def fault_seed(config: CampaignConfig) -> int:
    """Of the fault patterns that all candidates share."""
    return config.seed + _FAULTS


def final_fault_seed(config: CampaignConfig) -> int:
    """Of the patterns on which winners are reported; no choice has seen them."""
    return config.seed + _FINAL_FAULTS


def front_of(history: History, config: CampaignConfig) -> list[Evaluation]:
    """The Pareto-optimal candidates over all objectives."""
    return front(history.evaluations, config.parsed_objectives(), config.parsed_constraints())


def identifier(title: str) -> str:
    """A title as part of an id."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-._")[:48] or "campaign"
