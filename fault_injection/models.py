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
import re
from typing import Any, Callable, ClassVar, Dict, Iterable, List, Tuple, Type

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


def _check_probability(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InvalidFaultModelError(f"must be a number, not {value!r}") from None
    if not 0 <= number <= 1:  # NaN fails, too
        raise InvalidFaultModelError(f"must lie in 0 to 1, not {number:g}")
    return number + 0.0  # no negative zero


def _write_number(value: float) -> str:
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


def probability() -> Any:
    """A parameter in 0 to 1, both included."""
    return dataclasses.field(metadata={"kind": _Kind(_read_number, _check_probability, _write_number)})


def choice(*options: str) -> Any:
    """A parameter that is one of a few words; the first is the default."""

    def check(value: object) -> object:
        if value not in options:
            raise InvalidFaultModelError(
                f"must be one of {', '.join(options)}, not {value!r}{_nearest(value, options)}"
            )
        return value

    return dataclasses.field(default=options[0], metadata={"kind": _Kind(str, check, str)})


@dataclasses.dataclass(frozen=True)
class FaultModel:
    """What breaks, and how often. Its canonical text is ``str(model)``; :func:`parse` is the inverse.

    Attributes:
        name: as it is written.
    """

    name: ClassVar[str]

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
    p: float = probability()
    per: str = choice("bit", "value")


MODELS: Dict[str, Type[FaultModel]] = {model.name: model for model in (IndependentBitFlips,)}
"""All fault models, by the name that starts their text."""


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
            raise InvalidFaultModelError(f"{name} has no {key!r}; it takes: {', '.join(fields)}{_nearest(key, fields)}")
        if key in values:
            raise InvalidFaultModelError(f"{name}: {key} is given twice")
        try:
            values[key] = fields[key].metadata["kind"].read(word)
        except InvalidFaultModelError as error:
            raise InvalidFaultModelError(f"{name}: {key} {error}") from None
    for key, field in fields.items():
        if key not in values and field.default is dataclasses.MISSING:
            raise InvalidFaultModelError(f"{name}: {key} is missing; write it like {_EXAMPLE}")
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
