"""Strategies by the names that campaign files use. Loaded when needed: some bring torch along, some an extra."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search.errors import StrategyError, hint
from search.objectives import Constraint, Objective
from search.strategies.base import Strategy

if TYPE_CHECKING:
    from search.spaces.base import Space

#: Parameters that every strategy has; the others are its settings.
_COMMON = frozenset({"self", "space", "objectives", "constraints", "seed"})


@dataclass(frozen=True)
class Entry:
    """A strategy that there is.

    Attributes:
        place: "module:class".
        summary: for people, a few words.
        extra: the extra of the package that it needs; empty for none.
        single: whether it follows one number, a reward, instead of a front.
    """

    place: str
    summary: str
    extra: str = ""
    single: bool = False


STRATEGIES: Mapping[str, Entry] = {
    "guided": Entry("search.strategies.guided:Guided", "evolution on predictions; the fewest measurements"),
    "nsga2": Entry("search.strategies.nsga2:Nsga2", "evolution by rank and crowding (Deb et al. 2002)"),
    "nsga3": Entry("search.strategies.nsga3:Nsga3", "evolution by reference directions (Deb & Jain 2014)"),
    "local": Entry("search.strategies.local_search:LocalSearch", "neighbours of the front (Paquete et al. 2004)"),
    "evolution": Entry(
        "search.strategies.evolution:AgingEvolution", "evolution that dies of age (Real et al. 2019)", single=True
    ),
    "tabnas": Entry(
        "search.strategies.policy.tabnas:TabNas",
        "a policy that discards what breaks a bound learns (Yang et al. 2022)",
        single=True,
    ),
    "linas": Entry("search.strategies.linas:Linas", "NSGA-II on predictions, in rounds (DyNAS-T, 2022)"),
    "ftt": Entry(
        "search.strategies.policy.ftt:FttNas",
        "a recurrent policy learns, with a reward for surviving faults (FTT-NAS, Ning et al.)",
        single=True,
    ),
    "optuna": Entry(
        "search.strategies.optuna_adapter:OptunaSearch", "a sampler of Optuna: tpe, nsgaii, nsgaiii or random", "optuna"
    ),
    "pymoo": Entry(
        "search.strategies.pymoo_adapter:PymooSearch", "an algorithm of pymoo: nsga2, nsga3, unsga3 or sms", "pymoo"
    ),
    "random": Entry("search.strategies.random:RandomSearch", "samples the space; the baseline"),
}


def entry(name: str) -> Entry:
    """The entry of a name.

    Raises:
        StrategyError: there is none.
    """
    if name not in STRATEGIES:
        raise StrategyError(f"there is no strategy {name!r}", hint(name, STRATEGIES))
    return STRATEGIES[name]


def settings_of(name: str) -> dict[str, inspect.Parameter]:
    """What can be set of a strategy, with its defaults.

    Raises:
        StrategyError: no such strategy, or its extra is not installed.
    """
    parameters = inspect.signature(_class(name).__init__).parameters
    return {key: parameter for key, parameter in parameters.items() if key not in _COMMON}


def make(
    name: str,
    space: Space,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> Strategy:
    """A strategy at its beginning.

    Args:
        name: one of `STRATEGIES`.
        space: see `Strategy`.
        objectives: see `Strategy`.
        constraints: see `Strategy`.
        seed: see `Strategy`.
        settings: of this strategy; see `settings_of`.

    Raises:
        StrategyError: no such strategy or setting, a value it refuses, or its extra is not installed.
    """
    known = settings_of(name)
    for key in settings or {}:
        if key not in known:
            otherwise = f"it has {', '.join(known) or 'no settings'}"
            raise StrategyError(f"{name} has no setting {key!r}", hint(key, known, otherwise))
    built: Strategy = _class(name)(space, objectives, constraints, seed, **(settings or {}))
    return built


def _class(name: str) -> type[Strategy]:
    found = entry(name)
    module, _, attribute = found.place.partition(":")
    try:
        loaded: type[Strategy] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if not found.extra:
            raise
        raise StrategyError(
            f"the strategy {name} needs {error.name}", f"install it: pip install 'gauntlet[{found.extra}]'"
        ) from error
    return loaded
