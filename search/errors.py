"""What goes wrong in a search, in words for people: what, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Collection


class SearchError(Exception):
    """Anything that ends a campaign or a report with one clear line.

    Attributes:
        message: one line: what is wrong, and where.
        remedy: one line: what to do about it; may be empty.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class ObjectiveError(SearchError):
    """An objective, a constraint or a reward that cannot be read, or contradicts another."""


class RunLogError(SearchError):
    """A run folder that cannot be created, read or continued."""


class StrategyError(SearchError):
    """A strategy was told what it did not ask for, or told it twice."""


class Exhausted(SearchError):  # noqa: N818  # the end of a search, not a fault: `except Exhausted`
    """The space holds no architecture that was not asked for already."""


class Infeasible(SearchError):  # noqa: N818
    """No architecture of the space meets the constraints that are known before any measurement."""


class BuilderError(SearchError):
    """A user's function that describes no space: which, where, and what to write instead."""


class BuildError(SearchError):
    """One network that a user's function cannot build, though its space holds it; others may well be fine."""


def hint(wrong: str, known: Collection[str], otherwise: str = "") -> str:
    """The remedy for a name that there is not: the known one that comes near.

    Args:
        wrong: the name.
        known: those that there are.
        otherwise: what to say if none comes near; by default, which there are.
    """
    near = difflib.get_close_matches(wrong, known, 1)
    return f"did you mean {near[0]}?" if near else otherwise or f"there are {', '.join(known)}"
