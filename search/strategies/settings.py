"""Settings of strategies, as campaign files give them: plain data that has to be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.conditions import canonical_condition
from search.errors import StrategyError, hint
from search.objectives import Objective
from search.rewards import Reward, Single, parse_reward


def checked_count(name: str, value: int, least: int) -> int:
    """`value` as it is.

    Raises:
        StrategyError: it is no whole number from `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise StrategyError(f"{name}: {value!r} is no whole number from {least}", "leave it out for the default")
    return value


def checked(name: str, value: float, least: float, most: float) -> float:
    """`value` as it is.

    Raises:
        StrategyError: it is no number from `least` to `most`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise StrategyError(
            f"{name}: {value!r} is no number from {least:g} to {most:g}", "leave it out for the default"
        )
    return value


def checked_name(name: str, value: str, known: Sequence[str]) -> str:
    """`value` as it is.

    Raises:
        StrategyError: it is none of `known`; it names the one that comes near.
    """
    if value not in known:
        raise StrategyError(f"{name}: there is no {value!r}", hint(str(value), known))
    return value


def reward_of(document: Mapping[str, Any] | None, objectives: Sequence[Objective]) -> Reward:
    """The reward that is asked for, or else the only objective; fault conditions named as figures name them.

    Raises:
        StrategyError: there are several objectives.
        ObjectiveError: see `parse_reward`.
    """
    if document is not None:
        return parse_reward(document, canonical_condition)
    if len(objectives) != 1:
        raise StrategyError(
            f"{len(objectives)} objectives and no reward",
            "say how they count: reward: {kind: tunas, cost: latency_s@DEVICE, target: SECONDS}",
        )
    return Single(objectives[0])
