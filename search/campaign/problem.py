"""What a campaign's settings stand for: data, space, strategy, trainings, seeds."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.campaign.config import NB201, CampaignConfig
from search.campaign.sections import AugmentConfig, ChoicesConfig, FttConfig, MobileConfig
from search.data import Augmentation, Data, DataError, load
from search.errors import SearchError
from search.evaluations import Evaluation
from search.pareto import front
from search.replay.nb201 import read_nb201
from search.replay.table import Table
from search.runlog import History
from search.spaces import load_space
from search.spaces.base import Architecture, Space, SpaceError
from search.spaces.ftt import FEATURE_OPERATIONS, WEIGHT_OPERATIONS, FttSpace
from search.spaces.mobile import MobileSpace
from search.spaces.nb201 import Nb201Space
from search.spaces.quantized import QuantizedSpace, network_space
from search.spaces.restricted import restricted
from search.spaces.storage import Storage
from search.strategies import Strategy, registry
from search.supernet import TrainSettings
from search.supernet.machine import find_device
from search.supernet.tensorboard import require_tensorboard

#: Added to the campaign's seed: the faults by which candidates are chosen, and those on which winners are reported.
_FAULTS, _FINAL_FAULTS = 1_000_003, 2_000_003


@dataclass(frozen=True, eq=False)
class Problem:
    """What a campaign's settings stand for.

    Attributes:
        config: the settings.
        data: what networks learn from; None where all is recorded.
        table: what is replayed; None where devices measure.
        space: what may be asked for.
    """

    config: CampaignConfig
    data: Data | None
    table: Table | None
    space: Space

    @classmethod
    def of(cls, config: CampaignConfig) -> Problem:
        """Read what the settings name.

        Raises:
            SearchError: data or a table that cannot be read or does not hold what is asked of it, settings that
                contradict each other.
        """
        if config.replay:
            table = _table(config)
            table.check(config.quantities())
            members = table.members(config.quantities())
            return cls(config, None, table, restricted(table.space, members, "table"))
        data = load_data(config)
        _check_augmentation(config, data)
        return cls(config, data, None, space(config, data.image_shape, data.classes))

    @property
    def whole_space(self) -> Space:
        """The space without the restriction to what a table knows."""
        return self.space if self.table is None else self.table.space

    @property
    def networks(self) -> Space:
        """The space of the networks themselves, without the choice of how they are stored."""
        return network_space(self.space)

    def network(self, architecture: Architecture) -> Architecture:
        """The network of :attr:`networks` whose weights an architecture has."""
        return self.space.network(architecture) if isinstance(self.space, QuantizedSpace) else architecture

    def storage(self, architecture: Architecture) -> Storage:
        """In which numbers it is stored: int8 throughout where there is no choice."""
        return self.space.storage(architecture) if isinstance(self.space, QuantizedSpace) else Storage()

    def strategy(self) -> Strategy:
        """The strategy at its beginning.

        Raises:
            StrategyError: a setting that it does not have or that cannot be, or its extra is not installed.
        """
        config, given = self.config, self.config.search
        objectives, constraints = config.parsed_objectives(), config.parsed_constraints()
        return registry.make(given.strategy, self.space, objectives, constraints, config.strategy_seed, given.settings)

    def recorded_finals(self, history: History) -> dict[str, dict[str, Any]]:
        """Accuracy of the front on images that no choice has seen, where it is recorded, by candidate number."""
        if self.config.replay != NB201:
            return {}
        table = recorded_cells("test")
        front = front_of(history, self.config)
        found = {e.number: table.figure(self.space.parse(e.architecture), "accuracy") for e in front}
        return {str(number): {"accuracy": value.to_json()} for number, value in found.items()}


def load_data(config: CampaignConfig) -> Data:
    """The data set.

    Raises:
        SearchError: it cannot be read, or makes no problem.
    """
    try:
        return load(config.data.path, config.seed, pool=config.data.pool, limit=config.data.limit)
    except DataError as error:
        raise SearchError(f"data: {error}", "see docs/search.md for what a data set must hold") from error


def check_machine(config: CampaignConfig) -> None:
    """Can this machine train as it is asked to?

    Raises:
        SearchError: a device is not there, or TensorBoard is not installed.
    """
    if config.replay:
        return
    chosen = config.supernet if config.has_supernet else config.training
    find_device(chosen.device)
    if chosen.tensorboard:
        require_tensorboard()


def _check_augmentation(config: CampaignConfig, data: Data) -> None:
    for section in ("supernet" if config.has_supernet else "training", "finalists"):
        try:
            _augmentation(getattr(config, section).augment).check(data.image_shape)
        except DataError as error:
            raise SearchError(f"{section}.{error}", "or leave it out") from error


def _augmentation(given: AugmentConfig | None) -> Augmentation:
    return Augmentation() if given is None else given.settings()


def space(config: CampaignConfig, image_shape: tuple[int, int, int], classes: int) -> Space:
    """The space, for images of the data's size.

    Raises:
        SearchError: its settings contradict each other, or your own function cannot be loaded.
    """
    networks, chosen = _networks(config, image_shape, classes), config.quantization
    if chosen is None:
        return networks
    try:
        return QuantizedSpace(networks, chosen.precisions, chosen.per, chosen.clip)
    except SpaceError as error:
        raise SearchError(str(error), "see `gauntlet search --keys`") from error


def _networks(config: CampaignConfig, image_shape: tuple[int, int, int], classes: int) -> Space:
    chosen = config.space
    try:
        if isinstance(chosen, MobileConfig):
            settings = chosen.model_dump(exclude={"kind"})
            return MobileSpace(image_shape=image_shape, classes=classes, **settings)
        if isinstance(chosen, ChoicesConfig):
            file, _, function = chosen.builder.rpartition(":")
            return load_space(file, function, image_shape, classes, chosen.choices)
        if isinstance(chosen, FttConfig):
            operations = FEATURE_OPERATIONS if chosen.faults == "features" else WEIGHT_OPERATIONS
            return FttSpace(image_shape, classes, chosen.channels, chosen.cells, chosen.steps, operations)
        return Nb201Space(image_shape, classes, chosen.channels, chosen.cells)
    except SpaceError as error:
        raise SearchError(f"space: {error}", "see `gauntlet search --keys`") from error


def _table(config: CampaignConfig) -> Table:
    return recorded_cells() if config.replay == NB201 else Table.read(Path(config.replay))


def recorded_cells(accuracy: str = "validation") -> Table:
    """NAS-Bench-201 as recorded, from the folder that the environment names.

    Args:
        accuracy: "validation" is what a search sees, "test" what its winners are reported on.

    Raises:
        SearchError: no such folder, or the table is not there.
    """
    folder = os.environ.get("GAUNTLET_DATA")
    if not folder:
        raise SearchError(
            "replay: the recorded cells of NAS-Bench-201 are not part of this program",
            "set GAUNTLET_DATA to the folder that holds nb201_classes.parquet",
        )
    return read_nb201(Path(folder), accuracy)


def training(config: CampaignConfig) -> TrainSettings:
    """Of the supernet."""
    chosen = config.supernet
    return TrainSettings(
        epochs=chosen.epochs,
        batch=chosen.batch,
        learning_rate=chosen.learning_rate,
        method=chosen.method,
        stages=chosen.stages,
        random_subnets=chosen.random_subnets,
        label_share=chosen.label_share,
        device=chosen.device,
        mixed_precision=chosen.mixed_precision,
        faults=None if chosen.faults is None else chosen.faults.settings(),
        augment=_augmentation(chosen.augment),
        seed=config.seed,
        threads=chosen.threads,
    )


def fine_tuning(config: CampaignConfig) -> TrainSettings:
    """Of a candidate, after that of the supernet and under the same faults, all of whose rate strikes at once.

    Args:
        config: of a campaign that wants it.
    """
    settings, chosen = training(config), config.supernet.fine_tune
    assert chosen is not None
    faults = None if settings.faults is None else replace(settings.faults, clean_epochs=0, ramp_epochs=0)
    return replace(settings, method="single-path", learning_rate=chosen.learning_rate, faults=faults)


def training_alone(config: CampaignConfig) -> TrainSettings:
    """Of a candidate in a space without a supernet."""
    chosen = config.training
    return TrainSettings(
        epochs=chosen.epochs,
        batch=chosen.batch,
        learning_rate=chosen.learning_rate,
        weight_decay=5e-4,
        device=chosen.device,
        mixed_precision=chosen.mixed_precision,
        faults=None if chosen.faults is None else chosen.faults.settings(),
        augment=_augmentation(chosen.augment),
    )


def audit_training(config: CampaignConfig, epochs: int | None = None) -> TrainSettings:
    """Of networks trained alone for an audit: where the supernet is, with its augmentation, and under its faults.

    Args:
        config: of the campaign.
        epochs: of each; None: what the campaign says. Epochs without faults, and those in which their rate rises, take
            the same share of them as of the supernet's.
    """
    chosen, epochs = config.supernet, epochs or config.audit.epochs
    faults = None if chosen.faults is None else chosen.faults.settings()
    if faults is not None:
        faults = replace(
            faults,
            clean_epochs=faults.clean_epochs * epochs // chosen.epochs,
            ramp_epochs=faults.ramp_epochs * epochs // chosen.epochs,
        )
    return TrainSettings(
        epochs=epochs,
        learning_rate=0.1,
        weight_decay=5e-4,
        threads=chosen.threads,
        device=chosen.device,
        mixed_precision=chosen.mixed_precision,
        faults=faults,
        augment=_augmentation(chosen.augment),
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
