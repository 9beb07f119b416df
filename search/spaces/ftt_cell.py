"""A cell of FTT-NAS's space: how it is written, and which spellings are one cell.

::

    Ap3Bs-AnCc3          a cell of two steps: C = sep_conv_3x3(A) + B,  D = relu_conv_bn_3x3(C)
    ││ ││ │  └─ from C, the step before
    ││ ││ └──── none: nothing comes from there
    ││ │└────── skip
    ││ └─────── from input B, the cell before
    │└───────── separable convolution, 3 × 3
    └────────── from input A, the cell before that one
"""

from __future__ import annotations

import itertools
import re
from functools import lru_cache

from search.spaces.base import SpaceError

#: How an operation is written, in the order of the paper's code; the last three were added for faults of weights.
CODES = {
    "none": "n",
    "max_pool_3x3": "m3",
    "avg_pool_3x3": "a3",
    "skip_connect": "s",
    "sep_conv_3x3": "p3",
    "sep_conv_5x5": "p5",
    "dil_conv_3x3": "d3",
    "dil_conv_5x5": "d5",
    "relu_conv_bn_3x3": "c3",
    "relu_conv_bn_5x5": "c5",
    "conv_1x1": "c1",
}
NONE, SKIP = "none", "skip_connect"
_NAMES = {code: name for name, code in CODES.items()}
_EDGE = r"([A-Z])(n|s|[a-z][0-9])"
_STEP = re.compile(_EDGE * 2)

#: The two cells before.
INPUTS = 2

Edge = tuple[int, str]
"""(from, operation): 0 and 1 are the inputs, then come the steps."""
Step = tuple[Edge, Edge]
Cell = tuple[Step, ...]

_NOTHING: Edge = (0, NONE)


def letter(node: int) -> str:
    """A, B for the inputs, C and on for the steps."""
    return chr(ord("A") + node)


def spelled(cell: Cell) -> str:
    """A cell's text."""
    return "-".join("".join(letter(source) + CODES[operation] for source, operation in step) for step in cell)


def read(text: str) -> Cell:
    """A cell as it is spelled.

    Raises:
        SpaceError: it cannot be read, or a step comes from itself or from a later one.
    """
    steps: list[Step] = []
    for node, part in enumerate(text.split("-"), INPUTS):
        match = _STEP.fullmatch(part)
        if match is None or not {match[2], match[4]} <= _NAMES.keys():
            codes = ", ".join(CODES.values())
            raise SpaceError(f"{text!r}: {part!r} is no step; one reads like Ap3Bs, with operations {codes}")
        first, second = ((ord(match[place]) - ord("A"), _NAMES[match[place + 1]]) for place in (1, 3))
        if max(first[0], second[0]) >= node:
            raise SpaceError(f"{text!r}: step {letter(node)} cannot come from {letter(max(first[0], second[0]))}")
        steps.append((first, second))
    return tuple(steps)


def live(step: Step) -> tuple[Edge, ...]:
    """The edges that something comes through."""
    return tuple(edge for edge in step if edge[1] != NONE)


@lru_cache(100_000)
def canonical(cell: Cell, reduces: bool, fallback: str) -> Cell:
    """The one spelling of a cell.

    What comes from a step of nothing is nothing; what comes from a step that is a copy comes from what it copies; the
    two inputs of a step commute, and so do steps, for their maps are put side by side and each channel has weights of
    its own in what reads them. The smallest spelling stands for all. A cell of nothing at all would make a network
    whose answer is always the same: it is read as one that applies `fallback` to the cell before.

    Args:
        cell: any spelling.
        reduces: a skip from an input is no copy then, for it halves the map.
        fallback: an operation.
    """
    source = dict(enumerate(range(INPUTS)))
    steps: list[Step] = []
    for node, step in enumerate(cell, INPUTS):
        edges = [(source[start], operation) for start, operation in live(step) if start in source]
        steps.append((edges[0] if edges else _NOTHING, edges[1] if len(edges) > 1 else _NOTHING))
        if len(edges) == 1 and edges[0][1] == SKIP and not (reduces and edges[0][0] < INPUTS):
            source[node] = edges[0][0]
        elif edges:
            source[node] = node
    if not any(map(live, steps)):
        steps[0] = ((1, fallback), _NOTHING)
    return min((_renumbered(steps, order) for order in _orders(steps)), key=_rank)


def _orders(steps: list[Step]) -> list[tuple[int, ...]]:
    """All orders in which each step comes after those that it comes from."""
    found = []
    for order in itertools.permutations(range(len(steps))):
        place = {INPUTS + step: new for new, step in enumerate(order)}
        if all(place.get(edge[0], -1) < new for new, step in enumerate(order) for edge in live(steps[step])):
            found.append(order)
    return found


def _renumbered(steps: list[Step], order: tuple[int, ...]) -> Cell:
    name = {0: 0, 1: 1} | {INPUTS + step: INPUTS + new for new, step in enumerate(order)}
    made: list[Step] = []
    for step in order:
        first, second = sorted(((name[start], operation) for start, operation in steps[step]), key=_edge_rank)
        made.append((first, second))
    return tuple(made)


_PLACE = {name: place for place, name in enumerate(CODES)}


def _edge_rank(edge: Edge) -> tuple[bool, int, int]:
    """Nothing comes last."""
    return edge[1] == NONE, edge[0], _PLACE[edge[1]]


def _rank(cell: Cell) -> tuple[tuple[bool, int, int], ...]:
    return tuple(_edge_rank(edge) for step in cell for edge in step)
