"""Fault models as small immutable values, and the text in which people write them.

>>> parse("iBF(p=1e-3)")
IndependentBitFlips(p=0.001, per='bit')
>>> str(parse("iBF(p=1e-3)"))
'iBF(p=0.001, per=bit)'

The text form is ``NAME(key=value, key=value)``. A model is a dataclass whose fields are made by :func:`probability`
and its siblings, which know how a value is read, checked and written; the parser is the same for all.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import re
import sys
from typing import Any, Callable, ClassVar, Dict, Iterable, List, Tuple, Type, Union

from fault_injection.errors import InvalidFaultModelError

_FORM = re.compile(r"\s*([A-Za-z]\w*)\s*(?:\((.*)\))?\s*", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_EXAMPLE = "iBF(p=0.001)"


@dataclasses.dataclass(frozen=True)
class _Kind:
    """How a parameter is read, checked (which may normalise it) and written."""

    read: Callable[[str], Any]
    check: Callable[[Any], Any]
    write: Callable[[Any], str]


def _read_number(word: str) -> float:
    # float() would also take nan, infinity and 1_000.
    if not _NUMBER.fullmatch(word):
        raise InvalidFaultModelError(f"must be a number, not {word!r}")
    return float(word)


def _checker(low: float, high: float, words: str) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):  # the last of whole numbers beyond a float
            raise InvalidFaultModelError(f"must be a number, not {value!r:.40}") from None
        if not low <= number <= high:  # NaN fails, too
            raise InvalidFaultModelError(f"must {words}, not {number:g}")
        return number + 0.0  # no negative zero

    return check


def _write_number(value: float) -> str:
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


def probability(default: Any = dataclasses.MISSING) -> Any:
    """A parameter in 0 to 1, both included."""
    kind = _Kind(_read_number, _checker(0, 1, "lie in 0 to 1"), _write_number)
    return dataclasses.field(default=default, metadata={"kind": kind})


def at_least(low: float, default: Any = dataclasses.MISSING) -> Any:
    """A finite number of at least `low`."""
    kind = _Kind(
        _read_number, _checker(low, sys.float_info.max, f"be a finite number of {low:g} or more"), _write_number
    )
    return dataclasses.field(default=default, metadata={"kind": kind})


def count(least: int, most: int, default: Any = dataclasses.MISSING) -> Any:
    """A whole number."""
    in_range = _checker(least, most, f"be a whole number in {least} to {most}")

    def check(value: Any) -> int:
        number = in_range(value)
        if not number.is_integer():
            raise InvalidFaultModelError(f"must be a whole number in {least} to {most}, not {number:g}")
        return int(number)

    return dataclasses.field(default=default, metadata={"kind": _Kind(_read_number, check, str)})


def choice(*options: str) -> Any:
    """A parameter that is one of a few words; the first is the default."""

    def check(value: object) -> object:
        if value not in options:
            raise InvalidFaultModelError(
                f"must be one of {', '.join(options)}, not {value!r}{_nearest(value, options)}"
            )
        return value

    return dataclasses.field(default=options[0], metadata={"kind": _Kind(str, check, str)})


class Place(enum.Enum):
    """Where faults lie."""

    WEIGHTS = "weights"
    FEATURES = "features"


_BOTH = (Place.WEIGHTS, Place.FEATURES)


@dataclasses.dataclass(frozen=True)
class FaultModel:
    """What breaks, and how often. Its canonical text is ``str(model)``; :func:`parse` is the inverse.

    Attributes:
        name: as it is written.
        places: where it can strike, the usual one first.
        has_bits: it hits single bits, so that a plan may confine it to some of them.
        dtype_bits: width of the values that it breaks.
    """

    name: ClassVar[str]
    places: ClassVar[Tuple[Place, ...]] = _BOTH
    has_bits: ClassVar[bool] = False
    dtype_bits: ClassVar[int] = 8

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            try:
                value = field.metadata["kind"].check(getattr(self, field.name))
            except InvalidFaultModelError as error:
                raise InvalidFaultModelError(f"{self.name}: {field.name} {error}") from None
            object.__setattr__(self, field.name, value)

    def __str__(self) -> str:
        parts = (f"{f.name}={f.metadata['kind'].write(getattr(self, f.name))}" for f in dataclasses.fields(self))
        return f"{self.name}({', '.join(parts)})"


@dataclasses.dataclass(frozen=True)
class IndependentBitFlips(FaultModel):
    """iBF: soft errors in a memory of 8-bit values (Ning et al., FTT-NAS, ACM TODAES 2021).

    Attributes:
        p: probability of a hit, 0-1, independent for each bit or value.
        per: "bit": each bit flips with probability p. "value": each value is hit with probability p, and one of its
            bits, each as likely as the others, flips; so the paper's public code has it, and with equal p it makes an
            eighth of the flips.
    """

    name: ClassVar[str] = "iBF"
    has_bits: ClassVar[bool] = True
    p: float = probability()
    per: str = choice("bit", "value")


@dataclasses.dataclass(frozen=True)
class FloatBitFlips(FaultModel):
    """iBF32: the same in a memory of 32-bit floating-point values, bit 31 being the sign.

    Attributes:
        p: probability of a hit, 0-1, independent for each bit or value.
        per: "bit" or "value", see :class:`IndependentBitFlips`.
    """

    name: ClassVar[str] = "iBF32"
    has_bits: ClassVar[bool] = True
    dtype_bits: ClassVar[int] = 32
    p: float = probability()
    per: str = choice("bit", "value")


@dataclasses.dataclass(frozen=True)
class SingleUpset(FaultModel):
    """SEU: exactly one flipped bit in all that the plan aims at, each bit as likely as any other.

    One that falls on a protected bit does nothing, so that patterns with and without protection stay comparable.
    """

    name: ClassVar[str] = "SEU"
    has_bits: ClassVar[bool] = True


@dataclasses.dataclass(frozen=True)
class MacBitBias(FaultModel):
    """MiBB: MAC-i.i.d. bit-bias, faulty multiply-accumulate units (Ning et al., FTT-NAS).

    A value behind n multiply-accumulates is hit with probability 1 - (1 - p_m)^n and then changes by ±2^a steps of its
    scale, a being one of 0-7 and both signs and all a equally likely; the sum saturates. An 8-bit register holds no
    +128, so that it becomes +127 on the deployed scale, on every backend alike; see `Scale`.

    Attributes:
        p_m: probability that a multiply-accumulate goes wrong, 0-1.
    """

    name: ClassVar[str] = "MiBB"
    places: ClassVar[Tuple[Place, ...]] = (Place.FEATURES,)
    p_m: float = probability()


@dataclasses.dataclass(frozen=True)
class StuckCells(FaultModel):
    """adSAF: arbitrary-distributed stuck-at faults of the memory cells that hold weights (Ning et al., FTT-NAS).

    Weights are signed steps q, as pos - neg with pos = max(q, 0) and neg = max(-q, 0) in two arrays of resistive cells.

    Attributes:
        p: probability that a cell is stuck, 0-1.
        variant: "all": a cell holds a whole magnitude, stuck at one is the largest magnitude of the tensor, stuck at
            zero is none; the paper's. "bit": a cell holds one bit of a 7-bit magnitude. "memory": no arrays; a cell
            holds one bit of the stored byte, two's complement.
        sa1: share of stuck-at-one among the faults, 0-1; the paper's 1.75 % of 10.79 % (Chen et al., IEEE TC 2015) as
            its code rounds it.
    """

    name: ClassVar[str] = "adSAF"
    places: ClassVar[Tuple[Place, ...]] = (Place.WEIGHTS,)
    p: float = probability()
    variant: str = choice("all", "bit", "memory")
    sa1: float = probability(0.163)


@dataclasses.dataclass(frozen=True)
class StuckBits(FaultModel):
    """stuck: bits of an 8-bit memory that always read as the same.

    Attributes:
        p: probability that a bit is stuck, 0-1.
        to: what it reads as, 0 or 1.
    """

    name: ClassVar[str] = "stuck"
    has_bits: ClassVar[bool] = True
    p: float = probability()
    to: int = count(0, 1)


@dataclasses.dataclass(frozen=True)
class RandomValue(FaultModel):
    """random: a value is replaced by one of the 256 that 8 bits can hold, each as likely as the others.

    Attributes:
        p: probability that a value is hit, 0-1.
    """

    name: ClassVar[str] = "random"
    p: float = probability()


@dataclasses.dataclass(frozen=True)
class GaussianNoise(FaultModel):
    """gauss: every value changes by normal noise, rounded to whole steps; the sum saturates.

    Attributes:
        sigma: standard deviation over the largest magnitude that 8 bits can hold (127 steps), 0-1.
    """

    name: ClassVar[str] = "gauss"
    sigma: float = probability()


@dataclasses.dataclass(frozen=True)
class ConductanceDrift(FaultModel):
    """drift: weights of analog memory fade as w·t^-v, v being normal for each cell (Joshi et al., Nat. Commun. 2020).

    Attributes:
        t: time since programming over the time of the first reading, at least 1.
        nu: mean of the exponent v.
        sd: its standard deviation from cell to cell; a v below 0 counts as 0.
    """

    name: ClassVar[str] = "drift"
    places: ClassVar[Tuple[Place, ...]] = (Place.WEIGHTS,)
    t: float = at_least(1)
    nu: float = at_least(0, 0.05)
    sd: float = at_least(0, 0.02)


@dataclasses.dataclass(frozen=True)
class ChannelFault(FaultModel):
    """channel: a whole output channel, of weights or of a feature map, reads as one number.

    Attributes:
        p: probability that a channel is hit, 0-1.
        to: "zero": what stands for 0. "max": the largest number of 8 bits. "random": any, one for the whole channel.
    """

    name: ClassVar[str] = "channel"
    p: float = probability()
    to: str = choice("zero", "max", "random")


@dataclasses.dataclass(frozen=True)
class BurstFlips(FaultModel):
    """burst: neighbouring bits of the memory flip together (multi-bit upsets of one particle).

    Attributes:
        p: probability that a burst begins at a bit, 0-1.
        length: bits that flip, the lowest bit of a value following the highest of the one before it.
    """

    name: ClassVar[str] = "burst"
    p: float = probability()
    length: int = count(2, 64)


_ALL: Tuple[Type[FaultModel], ...] = (
    IndependentBitFlips,
    FloatBitFlips,
    SingleUpset,
    MacBitBias,
    StuckCells,
    StuckBits,
    RandomValue,
    GaussianNoise,
    ConductanceDrift,
    ChannelFault,
    BurstFlips,
)
MODELS: Dict[str, Type[FaultModel]] = {model.name: model for model in _ALL}
"""All fault models, by the name that starts their text."""


def rate_name(model: Union[FaultModel, Type[FaultModel]]) -> str:
    """The parameter that says how often or how much, which a sweep changes.

    Raises:
        InvalidFaultModelError: the model has none.
    """
    for name in ("p", "p_m", "sigma", "t"):
        if any(field.name == name for field in dataclasses.fields(model)):
            return name
    raise InvalidFaultModelError(f"{model.name} has no rate that could be swept")


def with_rate(model: FaultModel, rate: float) -> FaultModel:
    """The same model at another rate; raises like its constructor."""
    return dataclasses.replace(model, **{rate_name(model): rate})


def parse(text: str) -> FaultModel:
    """Read the text form of a fault model.

    Raises:
        InvalidFaultModelError: says in one line what is wrong, and what there is instead.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidFaultModelError(f"{text!r} is no fault model; write it like {_EXAMPLE}")
    name, inside = match.groups()
    model = MODELS.get(name)
    if model is None:
        raise InvalidFaultModelError(f"no fault model {name!r}; there is: {', '.join(MODELS)}{_nearest(name, MODELS)}")
    fields = {field.name: field for field in dataclasses.fields(model)}
    values: Dict[str, Any] = {}
    for key, word in _pairs(name, inside or ""):
        if key not in fields:
            known = ", ".join(fields) or "nothing"
            raise InvalidFaultModelError(f"{name} has no {key!r}; it takes: {known}{_nearest(key, fields)}")
        if key in values:
            raise InvalidFaultModelError(f"{name}: {key} is given twice")
        try:
            values[key] = fields[key].metadata["kind"].read(word)
        except InvalidFaultModelError as error:
            raise InvalidFaultModelError(f"{name}: {key} {error}") from None
    for key, field in fields.items():
        if key not in values and field.default is dataclasses.MISSING:
            raise InvalidFaultModelError(f"{name}: {key} is missing; write it like {name}({key}=…)")
    return model(**values)


def _pairs(name: str, inside: str) -> List[Tuple[str, str]]:
    if not inside.strip():
        return []
    pairs = []
    for part in inside.split(","):
        key, equals, word = (piece.strip() for piece in part.partition("="))
        if not (key and equals and word):
            raise InvalidFaultModelError(f"{name}: {part.strip()!r} is not of the form key=value")
        pairs.append((key, word))
    return pairs


def _nearest(word: object, options: Iterable[str]) -> str:
    by_lower = {option.lower(): option for option in options}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""
