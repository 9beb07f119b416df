"""What a user may ask of a fault campaign."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_injection.campaign import key_of
from fault_injection.errors import FaultError
from fault_injection.models import MODELS, Place, SingleUpset, parse, rate_name, with_rate
from fault_injection.plan import FaultPlan, Lifetime, Position, Scale
from fault_injection.precision import Precision
from fault_injection.rates import parse_rates
from gauntlet import files
from gauntlet.errors import UsageError


@dataclass(frozen=True)
class Condition:
    """One plan whose accuracy is wanted.

    Attributes:
        plan: what breaks.
        sweep: the fault model without its rate, which conditions of one curve share; empty: not swept.
        rate: its place on the curve.
    """

    plan: FaultPlan
    sweep: str = ""
    rate: float = 0.0

    @property
    def key(self) -> str:
        """A short name."""
        return key_of(self.plan)


@dataclass(frozen=True)
class MapSettings:
    """How a vulnerability map is drawn.

    Attributes:
        margin: of P(critical) in each stratum, half the width of its interval at worst, 0-1.
        images: of the data set, the first so many; 0: all.
    """

    margin: float = 0.1
    images: int = 100


@dataclass(frozen=True)
class ProtectSettings:
    """What protection is proposed and tried.

    Attributes:
        budgets: extra memory over the memory of all weights, each above 0.
        cost: name of a kind of protection, see `gauntlet.faults.protect.COSTS`.
    """

    budgets: tuple[float, ...]
    cost: str = "tmr"


@dataclass(frozen=True)
class ServiceSettings:
    """The device in the field, for the time between wrong answers.

    Attributes:
        fit_per_mbit: raw upset rate of the memory, upsets in 10^9 hours for 10^6 bits.
        inferences_per_s: how often the network answers.
        scrub_s: after which time the weights are written anew.
        residency: share of time in which they are to be read, 0-1.
    """

    fit_per_mbit: float
    inferences_per_s: float = 1.0
    scrub_s: float = 24 * 3600.0
    residency: float = 1.0


@dataclass(frozen=True)
class FaultSettings:
    """A whole campaign.

    Attributes:
        model: a ``.tflite`` file.
        data: a labelled data set.
        conditions: to measure accuracy under.
        precision: of each.
        devices: ids; the campaign is carried out on each. Empty: the only one that there is.
        runtime: empty: the device's first.
        threads: of the runtime.
        delegate: "xnnpack" or "none".
        batch: samples to a call.
        map: draw a vulnerability map; None: do not.
        protect: propose and try protection, which needs a map; None: do not.
        service: None: no time between wrong answers.
        place: of the map's upsets.
        seed: of the conditions' patterns; map and protection have seeds of their own.
    """

    model: Path
    data: Path
    conditions: tuple[Condition, ...]
    precision: Precision = field(default_factory=lambda: Precision(0.01, 0.95, 30, 200))
    devices: tuple[str, ...] = ()
    runtime: str = ""
    threads: int = 1
    delegate: str = "xnnpack"
    batch: int = 128
    map: MapSettings | None = None
    protect: ProtectSettings | None = None
    service: ServiceSettings | None = None
    place: Place = Place.WEIGHTS
    seed: int = 0

    def about(self) -> dict[str, Any]:
        """All that decides the figures but the files themselves and the devices, as JSON has it."""
        return {
            "conditions": [condition.plan.to_dict() for condition in self.conditions],
            "precision": [
                self.precision.half_width,
                self.precision.confidence,
                self.precision.least,
                self.precision.most,
            ],
            "runtime": [self.runtime, self.threads, self.delegate, self.batch],
            "map": None if self.map is None else [self.map.margin, self.map.images, self.place.value],
            "protect": None if self.protect is None else [*self.protect.budgets, self.protect.cost],
            "seed": self.seed,
        }


def conditions(
    faults: Sequence[str],
    *,
    rates: str = "",
    position: str = "",
    scale: str = "deployed",
    targets: Sequence[str] = (),
    operations: Sequence[str] = (),
    bits: str = "",
    lifetime: str = "",
    seed: int = 0,
) -> tuple[Condition, ...]:
    """The conditions that options name.

    Args:
        faults: texts of fault models; those that are swept may leave their rate out.
        rates: that each of them is swept through, such as "1e-6:1e-2"; empty: as they are.
        position: "weights", "before" or "after"; empty: the usual one of each model.
        scale: "deployed" or "power-of-two".
        targets: shell patterns for names of tensors.
        operations: such as "CONV_2D".
        bits: such as "7" or "4-7"; empty: all.
        lifetime: "permanent", "transient" or "intermittent:SHARE"; empty: the usual one.
        seed: of the patterns.

    Raises:
        UsageError: one of them cannot be meant.
    """
    try:
        plans: list[Condition] = []
        for text in faults:
            model = parse(_with_a_rate(text, rates))
            swept = [with_rate(model, rate) for rate in parse_rates(rates)] if rates else [model]
            for member in swept:
                life, duty = _lifetime(lifetime)
                plan = FaultPlan(
                    model=member,
                    position=_word(Position, position, "--site") if position else None,
                    scale=_word(Scale, scale, "--scale"),
                    targets=tuple(targets),
                    operations=tuple(operations),
                    bits=_bits(bits),
                    lifetime=life,
                    duty=duty,
                    seed=seed,
                )
                name = "" if isinstance(member, SingleUpset) else rate_name(member)
                others = ", ".join(part for part in _inside(str(member)) if not part.startswith(f"{name}="))
                sweep = f"{member.name}({others})" if others else member.name
                plans.append(Condition(plan, sweep, getattr(member, name)) if name else Condition(plan))
    except FaultError as error:
        raise UsageError(f"{error}", "gauntlet faults --list tells what there is") from error
    unique = {condition.key: condition for condition in plans}
    return tuple(unique.values())


def check(settings: FaultSettings) -> None:
    """Refuse what is plainly wrong, before anything is started.

    Raises:
        UsageError: says what.
    """
    if files.check_model(settings.model) != "model/tflite":
        raise UsageError(
            f"{settings.model}: faults are put into .tflite files",
            "export the network as int8 .tflite; for torch modules there is fault_injection.pytorch",
        )
    files.check_data(settings.data, "labels")
    precision = settings.precision
    if not 2 <= precision.least <= precision.most <= 10_000:
        raise UsageError(
            f"{precision.least} to {precision.most} patterns: at least 2 and at most 10,000 can be drawn",
            "give --min-patterns and --max-patterns accordingly",
        )
    if settings.threads < 1 or settings.batch < 1:
        raise UsageError("--threads and --batch must be 1 or more")
    if settings.map is not None and not 0 < settings.map.margin < 0.5:
        raise UsageError(f"--map-margin must lie between 0 and 50 %, not {settings.map.margin:.0%}")
    if settings.protect is not None:
        if not settings.conditions or settings.conditions[-1].plan.place is not Place.WEIGHTS:
            raise UsageError("--protect needs a fault in weights to protect them from", "add --fault 'iBF(p=1e-4)'")
        if not settings.conditions[-1].plan.model.has_bits:
            raise UsageError(
                f"--protect saves single bits, and {settings.conditions[-1].plan.model.name} hits whole values",
                "give a model of bits last, such as --fault 'iBF(p=1e-4)'",
            )
    if (world := settings.service) is not None:
        for name, value in (
            ("--fit", world.fit_per_mbit),
            ("--inferences", world.inferences_per_s),
            ("--scrub", world.scrub_s),
        ):
            if not 0 < value < math.inf:
                raise UsageError(f"{name} must be greater than 0, not {value:g}")
        if not 0 <= world.residency <= 1:
            raise UsageError(f"--residency must lie in 0 to 1, not {world.residency:g}")
    if not settings.conditions and settings.map is None:
        raise UsageError("nothing to do", "give --fault 'iBF(p=1e-4)', or --map")


def _inside(text: str) -> list[str]:
    return text[text.index("(") + 1 : -1].split(", ")


def _word(kind: Any, text: str, option: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        there = ", ".join(member.value for member in kind)
        raise UsageError(f"{option}: {text} is none of: {there}") from None


def _bits(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    low, dash, high = text.partition("-")
    try:
        return int(low), int(high if dash else low)
    except ValueError:
        raise UsageError(f"--bits: {text} names no bits", "write one, such as 7, or a range, such as 4-7") from None


def _lifetime(text: str) -> tuple[Lifetime | None, float]:
    if not text:
        return None, 1.0
    word, colon, share = text.partition(":")
    kind: Lifetime = _word(Lifetime, word, "--lifetime")
    if (kind is Lifetime.INTERMITTENT) != bool(colon):
        raise UsageError(f"--lifetime: {text} is no lifetime", "write permanent, transient, or intermittent:0.1")
    try:
        return kind, float(share) if colon else 1.0
    except ValueError:
        raise UsageError(f"--lifetime: {share} is no share", "write intermittent:0.1") from None


def _with_a_rate(text: str, rates: str) -> str:
    """`iBF` alone is enough where the rate is swept: any stands in for it."""
    name, parenthesis, inside = text.partition("(")
    model = MODELS.get(name.strip())
    if not rates or model is None or model is SingleUpset:
        return text
    rate = rate_name(model)
    if f"{rate}=" in inside.replace(" ", ""):
        return text
    others = inside.rstrip(")") if parenthesis else ""
    return f"{name.strip()}({rate}=1{', ' + others if others.strip() else ''})"
