"""The sections of a campaign file, each with the meaning of its keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from orchestrator.protocol import DEFAULT, Protocol
from orchestrator.protocol_files import ProtocolError, flat, resolve, with_defaults
from search.data import Augmentation
from search.errors import SearchError
from search.fault_training import FaultTraining
from search.strategies import registry
from search.supernet.settings import check_device


class ConfigError(SearchError):
    """A campaign file that cannot be meant: which key, and what to do."""


class Section(BaseModel):
    """Part of a campaign file; a key that is not there is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Ratio = Annotated[float, Field(gt=0, lt=1)]
Option = bool | int | float | str


class DataConfig(Section):
    """What networks learn from: a path or `digits`, or a mapping with these keys."""

    path: str = Field(
        "",
        description="digits, or beside this file a NumPy archive (.npz), a folder of images for each class, or one of "
        "CIFAR-10's or MNIST's files",
    )
    pool: Count = Field(1, description="side of the squares of cells that are averaged into one; 2 halves images")
    limit: Count | None = Field(None, description="most images of each part, for short runs")

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given

    def __str__(self) -> str:
        changes = [f"{key} {value}" for key, value in self.model_dump(exclude={"path"}, exclude_defaults=True).items()]
        return f"{self.path} ({', '.join(changes)})" if changes else self.path


class MobileConfig(Section):
    """Stages of bottlenecks or plain convolutions, in a supernet. Stem and strides follow the size of the images."""

    kind: Literal["mobile"] = Field("mobile", description="the kind of space, if none is named")
    stem: Count = Field(8, description="channels after the first convolution")
    widths: tuple[tuple[Count, ...], ...] = Field(
        ((4, 8, 16), (8, 16, 24), (8, 16, 32)), description="choices of channels, stage by stage, rising"
    )
    depth: Count = Field(2, description="most blocks of a stage")
    kernels: tuple[int, ...] = Field((3, 5, 7), description="choices, odd and rising")
    expansions: tuple[Count, ...] = Field((1, 2, 4), description="choices of a bottleneck's expansion, rising")
    kinds: tuple[Literal["m", "c"], ...] = Field(("m", "c"), description="m: inverted bottleneck, c: plain convolution")


class Nb201Config(Section):
    """The cells of NAS-Bench-201, trained alone unless `weights: shared` is said."""

    kind: Literal["nb201"] = Field(description="nb201")
    channels: Count = Field(16, description="of the first stage")
    cells: Count = Field(5, description="in each of the three stages")


class FttConfig(Section):
    """The cells of FTT-NAS, trained alone unless `weights: shared` is said."""

    kind: Literal["ftt"] = Field(description="ftt")
    channels: Count = Field(20, description="of each step in the first cells")
    cells: Annotated[int, Field(ge=3)] = Field(8, description="in all")
    steps: Annotated[int, Field(ge=1, le=5)] = Field(4, description="in each cell")
    faults: Literal["features", "weights"] = Field(
        "features", description="whose operations: eight, or three more where weights are struck"
    )


class ChoicesConfig(Section):
    """Your own: a Python function that builds a network from choices; each network is trained alone."""

    kind: Literal["choices"] = Field(description="choices")
    builder: str = Field(description="FILE.py:FUNCTION beside this file")
    choices: dict[str, tuple[Option, ...]] = Field(
        {}, description="parameter: [options]; needed for a function that is not decorated with them"
    )


def kind_of(value: Any) -> str:
    """The kind of a space, from plain data or from its section."""
    kind = value.get("kind", "mobile") if isinstance(value, dict) else getattr(value, "kind", "mobile")
    return str(kind)


SpaceConfig = Annotated[
    Annotated[MobileConfig, Tag("mobile")]
    | Annotated[Nb201Config, Tag("nb201")]
    | Annotated[FttConfig, Tag("ftt")]
    | Annotated[ChoicesConfig, Tag("choices")],
    Discriminator(kind_of),
]


class QuantizationConfig(Section):
    """How candidates are stored, searched along with what they are."""

    precisions: tuple[Literal["int8", "int16x8", "float16", "float32"], ...] = Field(
        ("int8",), description="choices; int16x8 has 16-bit values beside 8-bit weights, float16 weights only"
    )
    per: Literal["network", "stage", "layer"] = Field(
        "network", description="what has a precision of its own; stage and layer of the mobile space only"
    )
    clip: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0,), description="choices: weights beyond this share of their layer's largest are cut to it"
    )


class FaultTrainingConfig(Section):
    """Faults that networks are trained under, so that they survive them (FTT-NAS)."""

    model: str = Field(description="what strikes and its rate, for example adSAF(p=0.08)")
    alpha: Annotated[float, Field(ge=0, le=1)] = Field(0.7, description="share of the loss under faults")
    clean_epochs: Annotated[int, Field(ge=0)] = Field(0, description="without faults, at first")
    ramp_epochs: Annotated[int, Field(ge=0)] = Field(0, description="in which the rate then rises")
    position: Literal["weights", "before", "after"] | None = Field(
        None, description="weights, or feature maps before or after the activation; weights if the model strikes there"
    )
    scale: Literal["deployed", "power-of-two"] = Field(
        "deployed", description="steps of 8-bit values: as deployed, or FTT-NAS's powers of two"
    )

    @model_validator(mode="after")
    def _can_be(self) -> FaultTrainingConfig:
        self.settings()
        return self

    def settings(self) -> FaultTraining:
        """What they mean.

        Raises:
            ValueError: no fault model, none with a rate that rises, or none that strikes there.
        """
        return FaultTraining(**self.model_dump())


class AugmentConfig(Section):
    """What may happen to a training image each time that it is seen; nothing by default."""

    crop: Annotated[int, Field(ge=0)] = Field(0, description="most cells that it is shifted by, 4 is usual")
    flip: bool = Field(False, description="mirror half of them, by chance; not for digits or letters")
    cutout: Annotated[int, Field(ge=0)] = Field(0, description="side of a square that becomes black, in cells")

    def settings(self) -> Augmentation:
        """What they mean."""
        return Augmentation(**self.model_dump())


Augment = Annotated[
    AugmentConfig | None, Field(description="{crop, flip, cutout}: what may happen to a training image")
]
Faults = Annotated[
    FaultTrainingConfig | None,
    Field(description="{model, alpha, clean_epochs, ramp_epochs, …}: to train under, with alpha of the loss"),
]
Device = Annotated[
    str,
    AfterValidator(check_device),
    Field(description="cpu, cuda, cuda:1, …, or auto: a graphics processor if there is one"),
]
Precision = Annotated[
    Literal["none", "bf16", "fp16"], Field(description="16-bit floats where torch deems them safe; for cuda")
]
TensorBoard = Annotated[
    bool, Field(description="write loss, accuracy, learning rate and images/s to the run folder's tensorboard/")
]
_Trained = TypeVar("_Trained", "SupernetConfig", "TrainingConfig", "FinalistsConfig")


def _check_faults(section: _Trained) -> _Trained:
    if section.faults is not None:
        section.faults.settings().check(section.epochs)
    return section


class FineTuneConfig(Section):
    """What a candidate learns by itself before it is judged."""

    steps: Count = Field(50, description="of training")
    learning_rate: Annotated[float, Field(gt=0)] = Field(0.02, description="at its peak")


class SupernetConfig(Section):
    """The training of the shared weights."""

    method: Literal["sandwich", "single-path", "close"] = Field(
        "sandwich",
        description="sandwich: largest, smallest and random networks in each step, with in-place distillation (BigNAS);"
        " single-path: one random network (SPOS), what cells are trained by if this is left out;"
        " close: the same, of cells whose operations share their weights less and less (CLOSE)",
    )
    stages: Count = Field(3, description="of close: sets of weights at last, one more in each stage")
    epochs: Count = Field(10, description="passes over the training images")
    batch: Annotated[int, Field(ge=2)] = Field(64, description="images a step")
    learning_rate: Annotated[float, Field(gt=0)] = Field(0.4, description="at its peak")
    label_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="how much smaller networks of a sandwich learn from labels, the rest from the largest network"
    )
    random_subnets: Annotated[int, Field(ge=0)] = Field(
        2, description="drawn in each step of a sandwich, besides largest and smallest"
    )
    threads: Count = Field(1, description="of torch; one is fastest on small networks")
    device: Device = "cpu"
    mixed_precision: Precision = "none"
    tensorboard: TensorBoard = False
    augment: Augment = None
    faults: Faults = None
    fine_tune: FineTuneConfig | None = Field(
        None, description="{steps, learning_rate}: train each candidate on by itself before it is judged"
    )

    _faults_strike = model_validator(mode="after")(_check_faults)

    @model_validator(mode="after")
    def _stages_fit(self) -> SupernetConfig:
        if self.method == "close" and self.stages > self.epochs:
            raise ValueError(f"{self.stages} stages need as many epochs: lower them, or train longer")
        return self


class TrainingConfig(Section):
    """The training of each candidate alone, where weights are not shared."""

    epochs: Count = Field(3, description="passes over the training images")
    batch: Annotated[int, Field(ge=2)] = Field(64, description="images a step")
    learning_rate: Annotated[float, Field(gt=0)] = Field(0.1, description="at its peak")
    device: Device = "cpu"
    mixed_precision: Precision = "none"
    tensorboard: TensorBoard = False
    augment: Augment = None
    faults: Faults = None

    _faults_strike = model_validator(mode="after")(_check_faults)


class SearchConfig(Section):
    """What to try next. `gauntlet search --strategies` lists the strategies with their settings."""

    strategy: str = Field("guided", description="guided, nsga2, random, …")
    settings: dict[str, Any] = Field({}, description="of the strategy")
    candidates: Count = Field(48, description="distinct architectures to evaluate")
    batch: Count = Field(8, description="asked for at a time")
    seed: Annotated[int, Field(ge=0)] | None = Field(None, description="of the strategy; the campaign's if left out")

    @field_validator("strategy")
    @classmethod
    def _is_one(cls, name: str) -> str:
        registry.entry(name)
        return name


class Contender(Section):
    """A strategy with its settings, under a name."""

    strategy: str
    settings: dict[str, Any] = {}
    name: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,39})?$")] = ""

    @field_validator("strategy")
    @classmethod
    def _is_one(cls, name: str) -> str:
        registry.entry(name)
        return name

    @property
    def label(self) -> str:
        """What tells it from the others."""
        return self.name or self.strategy


class CompareConfig(Section):
    """Several strategies side by side, each with the same devices, budget and seeds. Nothing is measured twice."""

    strategies: tuple[Contender, ...] = Field(
        (), description="names, or {strategy, settings, name}; two or more make a comparison"
    )
    seeds: Count = Field(5, description="searches of each strategy")
    target: Ratio | None = Field(None, description="hypervolume to count the queries to; a share of the best found")

    @field_validator("strategies", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        if not isinstance(given, list | tuple):
            return given  # which is refused with the right words
        return [{"strategy": item} if isinstance(item, str) else item for item in given]

    @field_validator("strategies")
    @classmethod
    def _differ(cls, given: tuple[Contender, ...]) -> tuple[Contender, ...]:
        labels = [contender.label for contender in given]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"{label} is there twice: give one of them another name")
        if len(labels) == 1:
            raise ValueError("one strategy cannot be compared: name two or more")
        return given


class PlateauConfig(Section):
    """The end of a search that no longer finds anything."""

    queries: Count = Field(description="candidates in which hypervolume gained less")
    gain: Annotated[float, Field(gt=0, lt=1)] = Field(0.002, description="than this, a share of the whole")


class StopConfig(Section):
    """When to stop before all candidates are evaluated."""

    device_s: Annotated[float, Field(gt=0)] | None = Field(None, description="seconds on devices")
    energy_j: Annotated[float, Field(gt=0)] | None = Field(None, description="joules that devices measured")
    plateau: PlateauConfig | None = Field(None, description="{queries, gain}: hypervolume no longer grows")


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


class MeasureConfig(Section):
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


class FaultsConfig(Section):
    """Accuracy under faults, on the device. The same seeds for all candidates."""

    models: tuple[str, ...] = Field((), description="fault conditions, for example iBF(p=0.001)")
    images: Count = Field(500, description="validation images under each pattern")
    half_width: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.01, description="draw patterns until the mean is so sure"
    )
    min_patterns: Annotated[int, Field(ge=2)] = Field(30, description="fewer than ten would rank noise")
    max_patterns: Annotated[int, Field(ge=2, le=10_000)] = Field(60, description="then stop, sure or not")


class AuditConfig(Section):
    """How well inherited accuracy ranks: subnets trained alone, to compare."""

    subnets: Annotated[int, Field(ge=0)] = Field(8, description="how many; 0: no audit")
    seeds: Count = Field(2, description="trainings of each; the second shows how much seeds alone differ")
    epochs: Count = Field(6, description="of each training")
    patterns: Annotated[int, Field(ge=2)] = Field(
        10, description="of faults, where the search chooses or trains by them"
    )
    workers: Annotated[int, Field(ge=0)] = Field(0, description="processes that train; 0: the campaign's own")


WeightsName = Literal["inherited", "scratch"]


class FinalistsConfig(Section):
    """The best candidates, trained alone in the end, and measured as the winners are."""

    networks: Annotated[int, Field(ge=0)] = Field(0, description="how many, far from each other on the front; 0: none")
    weights: tuple[WeightsName, ...] = Field(
        (), description="where trainings begin: inherited, scratch; if left out both, or scratch where none are shared"
    )
    epochs: Count = Field(30, description="of each training")
    batch: Annotated[int, Field(ge=2)] = Field(64, description="images a step")
    learning_rate: Annotated[float, Field(gt=0)] = Field(0.1, description="at its peak")
    seeds: Count = Field(3, description="trainings of each network from each beginning")
    workers: Count = Field(1, description="processes that train at a time")
    threads: Count = Field(1, description="of torch in each; one is fastest on small networks")
    augment: Augment = Field(None, description="as under supernet or training; theirs if left out")
    faults: Faults = Field(None, description="to train under; those under supernet or training if left out")

    _faults_strike = model_validator(mode="after")(_check_faults)

    @field_validator("weights")
    @classmethod
    def _differ(cls, given: tuple[WeightsName, ...]) -> tuple[WeightsName, ...]:
        if len(set(given)) < len(given):
            raise ValueError("name each beginning once")
        return given
