"""The file in which people describe a campaign: YAML, every key documented, every mistake named.

`explain` lists the keys; `load` reads a file; `CampaignConfig.model_dump` goes into the run's log, so that a run can be
resumed without the file.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fault_injection.models import parse as parse_fault
from orchestrator.protocol import DEFAULT, Protocol
from orchestrator.protocol_files import ProtocolError, flat, resolve, with_defaults
from orchestrator.protocol_files import load as load_protocol
from orchestrator.protocol_files import parse as parse_yaml
from search.errors import SearchError
from search.objectives import Constraint, Objective, Quantity, check_consistent


class ConfigError(SearchError):
    """A campaign file that cannot be meant: which key, and what to do."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Ratio = Annotated[float, Field(gt=0, lt=1)]


class SpaceConfig(_Section):
    """The architectures to choose from. Stem and strides follow the size of the images."""

    kind: Literal["mobile"] = Field("mobile", description="mobile: stages of bottlenecks or plain convolutions")
    stem: Count = Field(8, description="channels after the first convolution")
    widths: tuple[tuple[Count, ...], ...] = Field(
        ((4, 8, 16), (8, 16, 24), (8, 16, 32)), description="choices of channels, stage by stage, rising"
    )
    depth: Count = Field(2, description="most blocks of a stage")
    kernels: tuple[int, ...] = Field((3, 5, 7), description="choices, odd and rising")
    expansions: tuple[Count, ...] = Field((1, 2, 4), description="choices of a bottleneck's expansion, rising")
    kinds: tuple[Literal["m", "c"], ...] = Field(("m", "c"), description="m: inverted bottleneck, c: plain convolution")


class SupernetConfig(_Section):
    """The training of the shared weights: sandwich rule with in-place distillation (BigNAS)."""

    epochs: Count = Field(10, description="passes over the training images")
    batch: Annotated[int, Field(ge=2)] = Field(64, description="images a step")
    learning_rate: Annotated[float, Field(gt=0)] = Field(0.4, description="at its peak")
    label_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="how much smaller networks learn from labels, the rest from the largest network"
    )
    random_subnets: Annotated[int, Field(ge=0)] = Field(
        2, description="drawn in each step, besides largest and smallest"
    )
    threads: Count = Field(1, description="of torch; one is fastest on small networks")


class SearchConfig(_Section):
    """What to try next."""

    strategy: Literal["nsga2", "random"] = Field("nsga2", description="nsga2 or random")
    population: Annotated[int, Field(ge=2)] = Field(16, description="of nsga2")
    candidates: Count = Field(48, description="distinct architectures to evaluate")
    batch: Count = Field(8, description="asked for at a time")


#: Keys of `measure`, and the settings of the protocol that they are.
_PATHS = {
    "warmup_s": "latency.warmup_min_s",
    "min_s": "latency.min_s",
    "max_s": "latency.max_s",
    "precision": "latency.half_width",
    "timeout_s": "job.timeout_s",
}
#: Further settings whose default is another one in a campaign. Outputs of one int8 file differ by a step or two between
#: kernels; a wrong model differs by whole deviations.
_DEFAULTS = {"latency.warmup_max_s": 1.0, "output_check.tolerance": 0.25}


class MeasureConfig(_Section):
    """How each candidate is measured on each device that an objective or a constraint names."""

    threads: Count = Field(1, description="of the runtime")
    delegate: Literal["xnnpack", "none"] = Field("xnnpack", description="xnnpack or none")
    warmup_s: Seconds = Field(0.1, description="least warm-up")
    min_s: Seconds = Field(0.2, description="least timing")
    max_s: Seconds = Field(1.0, description="most timing")
    precision: Ratio = Field(0.02, description="half-width of the median's 95 % interval at which timing stops")
    images: Count = Field(1000, description="validation images for the accuracy on the device")
    timeout_s: Seconds = Field(DEFAULT.job.timeout_s, description="after which a job is killed")
    protocol: dict[str, Any] = Field(
        {}, description="any part of what gauntlet bench --show-protocol prints, or such a file beside this one"
    )

    def full_protocol(self) -> Protocol:
        """All numbers of a candidate's measurement: those of this section, and `protocol` over them.

        Raises:
            ConfigError: a setting that cannot be meant, or that a changed key of this section gives as well.
        """
        usual = {path: type(self).model_fields[key].default for key, path in _PATHS.items()}
        # By their values, for the log of a run holds all keys, changed or not.
        changed = {path: getattr(self, key) for key, path in _PATHS.items() if getattr(self, key) != usual[path]}
        labels = {path: f"measure.{key}" for key, path in _PATHS.items()}
        try:
            given = flat(self.protocol, "measure.protocol")
            for path in changed.keys() & given.keys():
                raise ConfigError(f"{labels[path]} and measure.protocol both give {path}", "leave one of them out")
            labels |= {path: f"measure.protocol: {path}" for path in given}
            return resolve({**given, **changed}, labels, with_defaults({**_DEFAULTS, **usual}))
        except ProtocolError as error:
            raise ConfigError(error.message, error.remedy) from error


class FaultsConfig(_Section):
    """Accuracy under faults, on the device. The same seeds for all candidates."""

    models: tuple[str, ...] = Field((), description="fault conditions, for example iBF(p=0.001)")
    images: Count = Field(500, description="validation images under each pattern")
    half_width: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.01, description="draw patterns until the mean is so sure"
    )
    min_patterns: Annotated[int, Field(ge=2)] = Field(30, description="fewer than ten would rank noise")
    max_patterns: Annotated[int, Field(ge=2, le=10_000)] = Field(60, description="then stop, sure or not")


class AuditConfig(_Section):
    """How well inherited accuracy ranks: subnets trained alone, to compare."""

    subnets: Annotated[int, Field(ge=0)] = Field(8, description="how many; 0: no audit")
    seeds: Count = Field(2, description="trainings of each; the second shows how much seeds alone differ")
    epochs: Count = Field(6, description="of each training")


class CampaignConfig(_Section):
    """A campaign."""

    title: str = Field("", description="for people; the file's name if left out", max_length=200)
    data: str = Field(description="digits, or the path of a NumPy archive (.npz) beside this file")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of everything")
    objectives: tuple[str, ...] = Field(description="what to make good, QUANTITY[@DEVICE][@FAULT]", min_length=1)
    constraints: tuple[str, ...] = Field((), description="bounds, for example latency_s@local <= 0.0005")
    space: SpaceConfig = SpaceConfig()
    supernet: SupernetConfig = SupernetConfig()
    search: SearchConfig = SearchConfig()
    measure: MeasureConfig = MeasureConfig()
    faults: FaultsConfig = FaultsConfig()
    audit: AuditConfig = AuditConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> CampaignConfig:
        check_consistent(self.parsed_objectives(), self.parsed_constraints())
        for text in self.faults.models:
            canonical_fault(text)
        if self.faults.max_patterns < self.faults.min_patterns:
            raise ValueError("faults: max_patterns is smaller than min_patterns")
        if self.measure.max_s < self.measure.min_s:
            raise ValueError("measure: max_s is smaller than min_s")
        self.measure.full_protocol()
        return self

    def parsed_objectives(self) -> list[Objective]:
        """The objectives, fault conditions made canonical."""
        return [Objective.parse(text, canonical_fault) for text in self.objectives]

    def parsed_constraints(self) -> list[Constraint]:
        """The bounds, fault conditions made canonical."""
        return [Constraint.parse(text, canonical_fault) for text in self.constraints]

    def fault_conditions(self) -> list[str]:
        """All fault conditions to measure, canonical, each once: those listed, and those that objectives name."""
        named = [q.fault for q in self.quantities() if q.fault]
        return list(dict.fromkeys([*(canonical_fault(text) for text in self.faults.models), *named]))

    def devices(self) -> list[str]:
        """Devices that objectives and bounds name, each once, in order."""
        return list(dict.fromkeys(q.device for q in self.quantities() if q.device))

    def quantities(self) -> list[Quantity]:
        """Of all objectives and bounds."""
        return [o.quantity for o in self.parsed_objectives()] + [c.quantity for c in self.parsed_constraints()]


def canonical_fault(text: str) -> str:
    """The one text of a fault condition.

    Raises:
        ValueError: no fault model of that form.
    """
    return str(parse_fault(text))


def load(path: Path) -> CampaignConfig:
    """Read a campaign file; paths of a data set and of a protocol are taken relative to it.

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
    data = config.data if config.data == "digits" else str((path.parent / config.data).resolve())
    return config.model_copy(update={"title": config.title or path.stem, "data": data})


def parse(document: dict[str, Any], where: str) -> CampaignConfig:
    """A campaign from plain data.

    Raises:
        ConfigError: a key is wrong.
    """
    try:
        return CampaignConfig.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}: {_complaint(first)}", _remedy(first)) from error
    except SearchError as error:
        raise ConfigError(f"{where}: {error.message}", error.remedy) from error


def explain() -> list[tuple[str, str, str]]:
    """(key, default, meaning) of all keys, in order; a section's own line has no default."""
    rows: list[tuple[str, str, str]] = []
    for name, field in CampaignConfig.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            rows.append((name, "", " ".join((section.__doc__ or "").split())))
            rows += [(f"{name}.{key}", _default(f), f.description or "") for key, f in section.model_fields.items()]
        else:
            rows.append((name, _default(field), field.description or ""))
    return rows


def _default(field: Any) -> str:
    if field.is_required():
        return "(needed)"
    value = field.default
    if isinstance(value, tuple):
        return "[" + ", ".join(_default_text(item) for item in value) + "]"
    return str(value)


def _default_text(item: Any) -> str:
    return f"[{', '.join(map(str, item))}]" if isinstance(item, tuple) else str(item)


def _complaint(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"there is no key {key}"
    if error["type"] == "missing":
        return f"{key} is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{key}: {message}" if key else message


def _remedy(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        *parents, wrong = (str(part) for part in error["loc"])
        known = _keys_of(parents)
        near = difflib.get_close_matches(wrong, known, 1)
        return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return "`gauntlet search --keys` lists all keys with their meaning"


def _keys_of(parents: list[str]) -> list[str]:
    model: type[BaseModel] = CampaignConfig
    for parent in parents:
        inner = model.model_fields[parent].annotation
        candidates = [inner, *get_args(inner)]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
