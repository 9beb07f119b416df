"""The file in which people describe a campaign: YAML, every key documented, every mistake named.

`load` reads a file; `CampaignConfig.model_dump` goes into the run's log, so that a run can be resumed without the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from fault_injection.models import parse as parse_fault
from orchestrator.protocol_files import ProtocolError
from orchestrator.protocol_files import load as load_protocol
from orchestrator.protocol_files import parse as parse_yaml
from search.campaign import keys
from search.campaign.sections import (
    AuditConfig,
    ChoicesConfig,
    CompareConfig,
    ConfigError,
    DataConfig,
    FaultsConfig,
    FinalistsConfig,
    MeasureConfig,
    MobileConfig,
    QuantizationConfig,
    SearchConfig,
    Section,
    SpaceConfig,
    StopConfig,
    SupernetConfig,
    TrainingConfig,
    WeightsName,
    kind_of,
)
from search.conditions import canonical_condition, unfit_for
from search.data import DIGITS
from search.errors import SearchError
from search.objectives import Aggregate, Constraint, Objective, Quantity, check_consistent
from search.rewards import parse_reward

#: The recorded table that is found through `GAUNTLET_DATA`.
NB201 = "nb201"
#: The kind of space whose networks share weights unless told otherwise.
MOBILE = "mobile"


class CampaignConfig(Section):
    """A campaign."""

    title: str = Field("", description="for people; the file's name if left out", max_length=200)
    data: DataConfig = DataConfig()
    replay: str = Field(
        "", description="instead of data and a lab: nb201, or the path of a recorded table (.parquet) beside this file"
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of everything")
    objectives: tuple[str, ...] = Field(description="what to make good, QUANTITY[@DEVICE][@FAULT]", min_length=1)
    constraints: tuple[str, ...] = Field((), description="bounds, for example latency_s@local <= 0.0005")
    warm_start: tuple[str, ...] = Field(
        (), description="run folders or recorded tables beside this file, whose measurements are learned from first"
    )
    space: SpaceConfig = MobileConfig()
    weights: Literal["shared", "alone"] | None = Field(
        None,
        description="shared: candidates inherit them from a supernet; alone: each is trained by itself. If left out "
        "the mobile space shares, others do not",
    )
    quantization: QuantizationConfig | None = None
    supernet: SupernetConfig = SupernetConfig()
    training: TrainingConfig = TrainingConfig()
    search: SearchConfig = SearchConfig()
    compare: CompareConfig = CompareConfig()
    stop: StopConfig = StopConfig()
    measure: MeasureConfig = MeasureConfig()
    faults: FaultsConfig = FaultsConfig()
    audit: AuditConfig = AuditConfig()
    finalists: FinalistsConfig = FinalistsConfig()

    @model_validator(mode="before")
    @classmethod
    def _as_its_space_has_it(cls, given: Any) -> Any:
        """Defaults that differ from space to space are written down, so that the log of a run says them."""
        if not isinstance(given, dict) or given.get("replay"):
            return given
        kind, supernet = kind_of(given.get("space", {})), given.get("supernet", {})
        weights = given.get("weights") or ("shared" if kind == MOBILE else "alone")
        if weights == "shared" and kind != MOBILE and isinstance(supernet, dict):
            supernet = {"method": "single-path", **supernet}
        return {**given, "weights": weights, "supernet": supernet}

    @model_validator(mode="after")
    def _fits_together(self) -> CampaignConfig:
        if bool(self.data.path) == bool(self.replay):
            raise ValueError("data: name what networks learn from, or a recorded table to replay; one of the two")
        if self.replay and "space" in self.model_fields_set and self.space != MobileConfig():
            raise ValueError("space: a recorded table brings its own; leave it out")
        check_consistent(self.parsed_objectives(), self.parsed_constraints())
        for text in self.faults.models:
            self.canonical(text)
        if self.faults.max_patterns < self.faults.min_patterns:
            raise ValueError("faults: max_patterns is smaller than min_patterns")
        if self.measure.max_s < self.measure.min_s:
            raise ValueError("measure: max_s is smaller than min_s")
        self.measure.full_protocol()
        self._check_weights()
        self._check_quantization()
        self._check_finalists()
        return self

    def _check_quantization(self) -> None:
        if self.quantization is None:
            return
        if self.replay:
            raise ValueError("quantization: a recorded table has its own; leave it out")
        for condition in self.fault_conditions():
            if wrong := unfit_for(condition, self.quantization.precisions):
                raise ValueError(f"quantization: {wrong}")

    def _check_weights(self) -> None:
        if self.replay and self.weights:
            raise ValueError("weights: a recorded table has none; leave it out")
        if not self.has_supernet:
            return
        if isinstance(self.space, ChoicesConfig):
            raise ValueError("weights: networks of a function of your own have nothing to share; write alone")
        method, cells = self.supernet.method, not isinstance(self.space, MobileConfig)
        if method == "close" and not cells:
            raise ValueError(
                "supernet.method: close needs operations that draw from sets of weights, as those of cells do; write "
                "sandwich or single-path, or choose a space of kind nb201 or ftt"
            )
        if method == "sandwich" and cells:
            raise ValueError(
                "supernet.method: the sandwich needs a largest and a smallest network, of which a space of cells has "
                "none; write single-path or close"
            )

    def _check_finalists(self) -> None:
        chosen = self.finalists
        if not chosen.networks:
            return
        if self.replay:
            raise ValueError("finalists: a recorded table has no networks to train; leave it out")
        if "inherited" in chosen.weights and not self.has_supernet:
            raise ValueError(
                "finalists.weights: candidates inherit nothing where weights are not shared; write scratch"
            )
        usual = self.supernet.faults if self.has_supernet else self.training.faults
        if chosen.faults is None and usual is not None:
            usual.settings().check(chosen.epochs)

    @property
    def finalist_weights(self) -> tuple[WeightsName, ...]:
        """Where the trainings of finalists begin."""
        return self.finalists.weights or (("inherited", "scratch") if self.has_supernet else ("scratch",))

    @property
    def has_supernet(self) -> bool:
        """Do candidates share weights? Otherwise each is trained alone, or replayed."""
        return self.weights == "shared"

    def searches(self) -> dict[str, SearchConfig]:
        """One for each strategy that is compared, by its label; the only one if none is."""
        if not self.compare.strategies:
            return {self.search.strategy: self.search}
        return {
            contender.label: self.search.model_copy(
                update={"strategy": contender.strategy, "settings": contender.settings}
            )
            for contender in self.compare.strategies
        }

    @property
    def strategy_seed(self) -> int:
        """Of the strategy."""
        return self.seed if self.search.seed is None else self.search.seed

    def canonical(self, fault: str) -> str:
        """The one text of a fault condition; in a recorded table it may be none of ours.

        Raises:
            ValueError: no fault model of that form.
        """
        return canonical_condition(fault) if self.replay else str(parse_fault(fault))

    def parsed_objectives(self) -> list[Objective]:
        """The objectives, fault conditions made canonical."""
        return [Objective.parse(text, self.canonical) for text in self.objectives]

    def parsed_constraints(self) -> list[Constraint]:
        """The bounds, fault conditions made canonical."""
        return [Constraint.parse(text, self.canonical) for text in self.constraints]

    def fault_conditions(self) -> list[str]:
        """All fault conditions to measure, canonical, each once: those listed, and those that objectives name."""
        named = [q.fault for q in self.quantities() if q.fault]
        return list(dict.fromkeys([*(self.canonical(text) for text in self.faults.models), *named]))

    def devices(self) -> list[str]:
        """Devices that objectives and bounds name, each once, in order."""
        return list(dict.fromkeys(q.device for q in self.quantities() if q.device))

    def aggregates(self) -> list[Quantity]:
        """Those of objectives, bounds and rewards that are put together from others."""
        return [quantity for quantity in self._named() if isinstance(quantity, Aggregate)]

    def quantities(self) -> list[Quantity]:
        """Plain ones, of all objectives, bounds and rewards, aggregates taken apart."""
        return [part for quantity in self._named() for part in quantity.parts]

    def _named(self) -> list[Quantity]:
        named = [o.quantity for o in self.parsed_objectives()] + [c.quantity for c in self.parsed_constraints()]
        for search in self.searches().values():
            reward = search.settings.get("reward")
            if isinstance(reward, dict):
                named += parse_reward(reward, self.canonical).quantities
        return named


def load(path: Path) -> CampaignConfig:
    """Read a campaign file; the paths that it names are taken relative to it.

    Raises:
        ConfigError: it cannot be read, or a key is wrong: the first one, with what to do.
    """
    try:
        document = parse_yaml(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", "name a campaign file (.yaml)") from error
    except ProtocolError as error:
        raise ConfigError(error.message, "see examples/digits.yaml") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} holds no keys", "see examples/digits.yaml, and `gauntlet search --keys`")
    measure = document.get("measure")
    if isinstance(measure, dict) and isinstance(name := measure.get("protocol"), str):
        try:
            measure["protocol"] = load_protocol(path.parent / name)
        except ProtocolError as error:
            raise ConfigError(f"{path}: measure.protocol: {error.message}", error.remedy) from error
    config = parse(document, str(path))
    changes: dict[str, Any] = {
        "title": config.title or path.stem,
        "data": config.data.model_copy(update={"path": _beside(path, config.data.path, DIGITS)}),
        "replay": _beside(path, config.replay, NB201),
        "warm_start": tuple(_beside(path, name) for name in config.warm_start),
    }
    if isinstance(config.space, ChoicesConfig):
        file, _, function = config.space.builder.rpartition(":")
        changes["space"] = config.space.model_copy(update={"builder": f"{_beside(path, file)}:{function}"})
    return config.model_copy(update=changes)


def _beside(path: Path, name: str, *built_in: str) -> str:
    return name if not name or name in built_in else str((path.parent / name).resolve())


def parse(document: dict[str, Any], where: str) -> CampaignConfig:
    """A campaign from plain data.

    Raises:
        ConfigError: a key is wrong.
    """
    try:
        return CampaignConfig.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}: {keys.complaint(first)}", keys.remedy(first, CampaignConfig)) from error
    except SearchError as error:
        raise ConfigError(f"{where}: {error.message}", error.remedy) from error
