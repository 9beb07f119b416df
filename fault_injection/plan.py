"""What to break, where, and for how long: everything that decides a pattern but its number.

>>> plan = FaultPlan(parse("iBF(p=1e-4)"), targets=("*conv1*",), bits=(4, 7), seed=3)
>>> plan.place
<Place.WEIGHTS: 'weights'>
"""

from __future__ import annotations

import enum
import fnmatch
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from fault_injection.errors import FaultError, InvalidFaultModelError, NoSuchTargetError, UnsupportedModelError
from fault_injection.models import FaultModel, Place, parse
from fault_injection.space import Site

_NAMED = 5
_BYTE, _BYTE_MODEL = 8, "iBF(p=1e-4)"
_LARGEST_SEED = (1 << 64) - 1


class Position(enum.Enum):
    """Where in a layer."""

    WEIGHTS = "weights"
    #: The signed output of convolution and normalisation (FTT-NAS); a layer whose activation is fused has none.
    BEFORE_ACTIVATION = "before"
    #: What the layer hands on, its activation included if that is part of it.
    AFTER_ACTIVATION = "after"


class Scale(enum.Enum):
    """The steps in which a value has bits."""

    #: Scale and zero point of the deployed tensor; sums saturate as its register does.
    DEPLOYED = "deployed"
    #: FTT-NAS: symmetric, step 2^(S - 7) with S = ceil(log2 max|t|); sums saturate at ±2^S, one step beyond a register.
    POWER_OF_TWO = "power-of-two"


class Lifetime(enum.Enum):
    """How long a fault lasts."""

    #: One inference. The usual one for features: each sample sees faults of its own.
    TRANSIENT = "transient"
    #: The whole pattern: one chip, every sample sees the same. The usual one for weights.
    PERMANENT = "permanent"
    #: The faults of a chip show in some inferences only, then all of them.
    INTERMITTENT = "intermittent"


@dataclass(frozen=True)
class FaultPlan:
    """A fault model aimed at a network. Patterns are numbered; number and plan decide the faults.

    Attributes:
        model: what breaks, how often.
        position: None: weights where the model strikes there, else after the activation.
        scale: see :class:`Scale`.
        targets: shell patterns (``*``, ``?``, ``[…]``) for names of tensors or layers; none: all that there are.
        operations: of the layers, such as "CONV_2D"; none: all.
        bits: lowest and highest bit that may be hit, 0 is the least significant; None: all. For models of bits.
        lifetime: None: permanent for weights, transient for features.
        duty: share of the inferences in which intermittent faults show, 0-1.
        protected: bits that cannot be hit, by tensor, as a mask: bit 7 is 128.
        seed: root of all patterns.
    """

    model: FaultModel
    position: Optional[Position] = None
    scale: Scale = Scale.DEPLOYED
    targets: Tuple[str, ...] = ()
    operations: Tuple[str, ...] = ()
    bits: Optional[Tuple[int, int]] = None
    lifetime: Optional[Lifetime] = None
    duty: float = 1.0
    protected: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        usual = Position.WEIGHTS if Place.WEIGHTS in self.model.places else Position.AFTER_ACTIVATION
        object.__setattr__(self, "position", self.position or usual)
        if self.place not in self.model.places:
            raise InvalidFaultModelError(f"{self.model.name} does not strike {self.place.value}")
        usual_life = Lifetime.PERMANENT if self.place is Place.WEIGHTS else Lifetime.TRANSIENT
        object.__setattr__(self, "lifetime", self.lifetime or usual_life)
        if self.bits is not None:
            low, high = self.bits
            if not self.model.has_bits:
                raise InvalidFaultModelError(f"{self.model.name} hits whole values, so that bits cannot be chosen")
            if not 0 <= low <= high < self.model.dtype_bits:
                raise InvalidFaultModelError(f"bits must lie in 0 to {self.model.dtype_bits - 1}, not {low} to {high}")
        if not 0 <= self.duty <= 1:
            raise InvalidFaultModelError(f"the duty of intermittent faults must lie in 0 to 1, not {self.duty:g}")
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise InvalidFaultModelError(f"a seed must lie in 0 to 2^64 - 1, not {self.seed}")
        if self.protected and not self.model.has_bits:
            raise InvalidFaultModelError(f"{self.model.name} hits whole values, so that bits cannot be protected")
        for name, mask in self.protected.items():
            if not 0 <= mask < 1 << self.model.dtype_bits:
                raise InvalidFaultModelError(
                    f"protected bits of {name!r} must be a mask of {self.model.dtype_bits} bits, not {mask}"
                )

    @property
    def place(self) -> Place:
        """Weights or features."""
        return Place.WEIGHTS if self.position is Position.WEIGHTS else Place.FEATURES

    def select(self, sites: Sequence[Site]) -> List[Site]:
        """Those that the plan aims at. Values of another width than the model breaks are left out.

        Raises:
            UnsupportedModelError: there are no values of that width.
            NoSuchTargetError: a pattern or operation matches nothing, or a protected tensor is none of them.
        """
        wanted = self.model.dtype_bits
        other = next((site for site in sites if site.bits != wanted), None)
        sites = [site for site in sites if site.bits == wanted]
        if other is not None and not sites:
            remedy = "export the model as int8" if wanted == _BYTE else f"write {_BYTE_MODEL}, for example"
            raise UnsupportedModelError(
                f"{self.model.name} needs {wanted}-bit values, those of {other.name!r} have {other.bits}: {remedy}"
            )
        for pattern in self.targets:
            _check(pattern, [site.name for site in sites], any(_matches(site.name, [pattern]) for site in sites))
        for operation in self.operations:
            present = list(dict.fromkeys(site.operator for site in sites))
            _check(operation, present, operation in present)
        for name in self.protected:
            _check(name, [site.name for site in sites], any(site.name == name for site in sites))
        chosen = [
            site
            for site in sites
            if (not self.targets or _matches(site.name, self.targets))
            and (not self.operations or site.operator in self.operations)
        ]
        if not sites:
            raise NoSuchTargetError("the model has nothing to break")
        if not chosen:
            raise NoSuchTargetError(
                f"nothing is both called {', '.join(self.targets)} and {', '.join(self.operations)}"
            )
        return chosen

    def to_dict(self) -> Dict[str, Any]:
        """The plan in words and numbers, as JSON has them; :meth:`from_dict` is the inverse."""
        assert self.position is not None
        assert self.lifetime is not None
        return {
            "model": str(self.model),
            "position": self.position.value,
            "scale": self.scale.value,
            "targets": list(self.targets),
            "operations": list(self.operations),
            "bits": None if self.bits is None else list(self.bits),
            "lifetime": self.lifetime.value,
            "duty": self.duty,
            "protected": dict(self.protected),
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> FaultPlan:
        """Read what :meth:`to_dict` wrote.

        Raises:
            FaultError: it is no plan.
        """
        try:
            bits = document["bits"]
            return cls(
                model=parse(document["model"]),
                position=Position(document["position"]),
                scale=Scale(document["scale"]),
                targets=_words(document["targets"]),
                operations=_words(document["operations"]),
                bits=None if bits is None else (int(bits[0]), int(bits[1])),
                lifetime=Lifetime(document["lifetime"]),
                duty=float(document["duty"]),
                protected={str(name): int(mask) for name, mask in document["protected"].items()},
                seed=int(document["seed"]),
            )
        except FaultError:
            raise
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise FaultError(f"not a fault plan: {error}") from error


def _words(listed: Any) -> Tuple[str, ...]:
    if isinstance(listed, str):
        raise ValueError(f"{listed!r} is no list")
    return tuple(map(str, listed))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _check(wanted: str, present: Sequence[str], there: bool) -> None:
    if not there:
        if wanted in present:
            raise NoSuchTargetError(
                f"{wanted!r} is a pattern that does not match itself: write [[] for a bracket in it"
            )
        more = f" and {len(present) - _NAMED} more" if len(present) > _NAMED else ""
        raise NoSuchTargetError(
            f"nothing to break matches {wanted!r}; the model has: {', '.join(present[:_NAMED])}{more}"
        )
