"""NAS-Bench-201: classes and MACs as the published table has them, spellings that agree, files that agree."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from search.export import export_tflite, verify
from search.spaces.base import Architecture, SpaceError
from search.spaces.cell_network import CellNetwork
from search.spaces.nb201 import EDGES, LETTERS, NONE, OPERATIONS, SKIP, Cell, Nb201Space, live_edges, read, spelled
from tests.search.export.networks import images, randomise
from tests.search.spaces.contract import counted

SMALL = Nb201Space((3, 8, 8), 10, channels=4, cells=1)
cells = st.tuples(*[st.integers(0, len(OPERATIONS) - 1)] * len(EDGES))
relaxed = settings(deadline=None)  # a busy machine is no failure
#: Largest difference of a logit of an int8 file, in standard deviations of the logits. Over all 6,466 cells the worst
#: was 0.19 (p-np-pps), in float32 2e-6.
INT8_WORST = 0.3
POINTWISE, SQUARE, POOL = OPERATIONS.index("nor_conv_1x1"), OPERATIONS.index("nor_conv_3x3"), 4


def table(data: Path, *columns: str) -> list[dict[str, Any]]:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the recorded tables are Parquet: install pyarrow")
    rows: list[dict[str, Any]] = parquet.read_table(
        data / "nb201_hw.parquet", columns=["arch_str", *columns]
    ).to_pylist()
    return rows


def test_networks_are_the_same_where_the_benchmark_says_so(data: Path) -> None:
    """All 15,625 spellings fall into its 6,466 classes: no class is split, no two are mixed."""
    space = Nb201Space()
    classes = defaultdict(set)
    for row in table(data, "isomorph_rep"):
        classes[space.parse(row["arch_str"])].add(row["isomorph_rep"])
    assert len(classes) == space.size() == 6466
    assert {len(representatives) for representatives in classes.values()} == {1}
    assert len(set.union(*classes.values())) == 6466


def test_macs_are_the_benchmarks_where_every_edge_counts(data: Path) -> None:
    """Those of 5,078 cells, whose canonical spelling has no dead edge (the benchmark counts those, too).

    The table holds float32, in millions, and about ten more: the biases of the last layer.
    """
    space, compared = Nb201Space(), 0
    for row in table(data, "flops_m"):
        cell = read(row["arch_str"])
        if row["flops_m"] is None or live_edges(cell) != cell or space.encode(Architecture(spelled(cell))) != cell:
            continue
        compared += 1
        assert space.macs(Architecture(spelled(cell))) / 1e6 == pytest.approx(row["flops_m"], abs=2e-5)
    assert compared == 5078


@relaxed
@given(cells)
def test_all_ways_to_write_a_cell_agree(cell: Cell) -> None:
    one = SMALL.decode(cell)
    benchmark = "|" + "".join(
        f"{OPERATIONS[operation]}~{source}|" + ("+|" if index in (0, 2) else "")
        for index, ((source, _), operation) in enumerate(zip(EDGES, cell, strict=True))
    )
    assert SMALL.parse(spelled(cell)) == SMALL.parse(benchmark) == SMALL.canonical(Architecture(spelled(cell))) == one
    assert SMALL.decode(SMALL.encode(Architecture(spelled(cell)))) == one
    assert read(spelled(cell)) == read(benchmark) == cell


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3-3p",
        "3-3p-s3",
        "33-p-s3s",
        "3-3p-s3x",
        "3_3p_s3s",
        "3-3p-s3s-",
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|",
        "|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|+|none~0|none~1|none~2|",
        "|conv_7x7~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|none~2|",
    ],
)
def test_a_text_that_is_no_cell_is_refused(text: str) -> None:
    with pytest.raises(SpaceError, match=re.escape(repr(text))):
        SMALL.parse(text)


@pytest.mark.parametrize(
    ("written", "alive"),
    [
        ("3-3p-s3s", "3-3p-s3s"),
        ("n-nn-nnn", "n-nn-nnn"),
        ("3-33-3nn", "n-nn-3nn"),  # maps 1 and 2 do not reach the output
        ("n-n3-333", "n-nn-3nn"),  # nothing enters map 1, so that nothing enters map 2
        ("3-n3-nn3", "3-n3-nn3"),
        ("3-3n-n3n", "3-nn-n3n"),
    ],
)
def test_an_edge_lives_if_it_is_fed_and_reaches_the_output(written: str, alive: str) -> None:
    assert spelled(live_edges(read(written))) == alive


@relaxed
@given(cells)
def test_dead_edges_cost_nothing_and_do_not_show(cell: Cell) -> None:
    one, alive = SMALL.decode(cell), live_edges(SMALL.encode(SMALL.decode(cell)))
    assert SMALL.macs(one) == SMALL.macs(Architecture(spelled(alive)))
    counts = SMALL.operators(one)
    # Once in all, and once on its edge.
    assert sum(counts.values()) == 2 * sum(operation != NONE for operation in alive)
    assert len(SMALL.features(one)) == len(SMALL.feature_names)


class _Shared(nn.Module):
    """A cell whose convolutions have equal weights wherever they stand, every edge as the letters say."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell
        generator = torch.Generator().manual_seed(0)
        self.weights = {
            POINTWISE: torch.randn(4, 4, 1, 1, generator=generator),
            SQUARE: torch.randn(4, 4, 3, 3, generator=generator) / 3,
        }

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [x, *(torch.zeros_like(x) for _ in range(3))]
        for (source, target), operation in zip(EDGES, self.cell, strict=True):
            value = maps[source]
            if operation == SKIP:
                maps[target] = maps[target] + value
            elif operation == POOL:
                maps[target] = maps[target] + nn.functional.avg_pool2d(value, 3, 1, 1, count_include_pad=False)
            elif operation != NONE:
                weight = self.weights[operation]
                maps[target] = maps[target] + nn.functional.conv2d(value.relu(), weight, padding=weight.shape[2] // 2)
        return maps[3]


@settings(relaxed, max_examples=80)
@given(cells)
def test_all_spellings_of_a_cell_compute_the_same(cell: Cell) -> None:
    """With weights that depend on the kind of a convolution alone, so that doing it twice and using it twice agree."""
    canonical = SMALL.encode(SMALL.decode(cell))
    assume(canonical != cell)
    x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    expected = _Shared(cell)(x)
    torch.testing.assert_close(_Shared(canonical)(x), expected, rtol=1e-4, atol=1e-4 * float(1 + expected.abs().max()))


@settings(relaxed, max_examples=60)
@given(cells)
def test_the_module_computes_what_the_letters_say(cell: Cell) -> None:
    """The module, which leaves dead edges out, beside one that runs all of them, with the same weights."""
    canonical = SMALL.encode(SMALL.decode(cell))
    network = CellNetwork(SMALL, canonical).eval()
    inside, plain = network.blocks[0], _Shared(canonical)
    for name, edge in inside.edges.items():  # type: ignore[union-attr,operator]
        operation = canonical[int(name)]
        if operation in plain.weights:
            edge[1].weight.data = plain.weights[operation]
            edge[2].eps = 0.0  # statistics of a new BatchNorm: it passes on what comes in
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = plain(x)
        torch.testing.assert_close(inside(x), expected, rtol=1e-4, atol=1e-4 * float(1 + expected.abs().max()))


@settings(relaxed, max_examples=20)
@given(cells, st.sampled_from([SMALL, Nb201Space((1, 8, 12), 3, channels=3, cells=2)]))
def test_costs_are_those_of_the_module(cell: Cell, space: Nb201Space) -> None:
    one = space.decode(cell)
    assert (space.macs(one), space.parameters(one)) == counted(space.module(one), space.image_shape)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_shape": (3, 32)}, "at least 8 × 8"),
        ({"image_shape": (3, 4, 32)}, "at least 8 × 8"),
        ({"image_shape": (3, 30, 32)}, "multiples of 4"),
        ({"classes": 1}, "two classes"),
        ({"channels": 0}, "a channel"),
        ({"cells": 0}, "a cell"),
    ],
)
def test_settings_that_no_network_has_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Nb201Space(**changes)


def check_export(one: Architecture, seed: int) -> None:
    torch.manual_seed(seed)
    network = randomise(SMALL.module(one), seed=seed)
    pixels, shape = images(16, SMALL.image_shape), (1, *SMALL.image_shape)
    assert verify(export_tflite(network, shape), network, pixels[:4]).relative_difference < 1e-5
    assert verify(export_tflite(network, shape, calibration=pixels), network, pixels).relative_difference < INT8_WORST


@pytest.mark.parametrize(
    "text", ["n-nn-nnn", "s-ss-sss", "n-nn-snn", "p-pp-ppp", "3-33-333", "3-3p-s3s", "1-np-1sn", "p-np-spp"]
)
def test_exported_cells_compute_what_torch_computes(text: str) -> None:
    pytest.importorskip("ai_edge_litert")
    check_export(SMALL.parse(text), 0)


@pytest.mark.slow
def test_exported_cells_of_all_kinds_compute_what_torch_computes() -> None:
    """Every 25th class: 259 of the 6,466, float32 and int8."""
    pytest.importorskip("ai_edge_litert")
    every = sorted({SMALL.decode(cell) for cell in np.ndindex(*[len(OPERATIONS)] * len(EDGES))})
    assert len(every) == 6466
    for seed, one in enumerate(every[::25]):
        check_export(one, seed)


def test_letters_and_operations_correspond() -> None:
    assert len(LETTERS) == len(set(LETTERS)) == len(OPERATIONS)
