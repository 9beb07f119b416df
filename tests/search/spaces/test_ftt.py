"""FTT-NAS's space: spellings of one cell compute the same, modules do what is written, files agree."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from search.export import export_tflite, verify
from search.spaces.base import Architecture, SpaceError
from search.spaces.ftt import FEATURE_OPERATIONS, WEIGHT_OPERATIONS, FttSpace
from search.spaces.ftt_cell import CODES, INPUTS, NONE, SKIP, Cell, canonical, live, read, spelled
from search.spaces.ftt_network import FttNetwork, operation
from search.spaces.ftt_plan import operation_layers
from tests.search.export.networks import images, randomise

SMALL = FttSpace((3, 8, 8), 4, channels=2, cells=3, steps=4, operations=WEIGHT_OPERATIONS)
relaxed = settings(deadline=None)
edges = [
    st.tuples(st.integers(0, node - 1), st.sampled_from([NONE, SKIP, *WEIGHT_OPERATIONS]))
    for node in range(INPUTS, INPUTS + 4)
]
cells = st.tuples(*(st.tuples(edge, edge) for edge in edges))


def filled(module: nn.Module) -> nn.Module:
    """Weights that depend on the shape of a layer alone, so that two of a kind compute the same."""
    for parameter in module.parameters():
        generator = torch.Generator().manual_seed(hash(tuple(parameter.shape)) % 2**31)
        parameter.data = torch.randn(parameter.shape, generator=generator) / max(1, parameter[0].numel()) ** 0.5
    return module.double().eval()


@torch.no_grad()
def computed(cell: Cell, inputs: list[Tensor], reduces: bool) -> list[Tensor]:
    """The maps of the steps, as the letters say; nothing is left out or renamed. Steps of nothing are None."""
    channels, maps = inputs[0].shape[1], list[Tensor | None](inputs)
    for step in cell:
        total: Tensor | None = None
        for source, name in step:
            stride = 2 if reduces and source < INPUTS else 1
            value = maps[source]
            if name != NONE and value is not None:
                value = filled(operation(operation_layers(name, channels, stride, 1)))(value)
                total = value if total is None else total + value
        maps.append(total)
    return [value for value in maps[INPUTS:] if value is not None]


@settings(relaxed, max_examples=60)
@given(cells, st.booleans())
def test_the_canonical_cell_computes_what_any_spelling_of_it_computes(cell: Cell, reduces: bool) -> None:
    """The same maps in some order: their order is that of channels, each of which has weights of its own."""
    inputs = list(torch.randn(2, 1, 2, 6, 6, generator=torch.Generator().manual_seed(0)).double())
    one = canonical(cell, reduces, SKIP)
    assert canonical(one, reduces, SKIP) == one
    expected, got = computed(cell, inputs, reduces), computed(one, inputs, reduces)
    if not expected:
        assert spelled(one).startswith("BsAn-AnAn")
        return
    assert len(expected) == len(got) == sum(bool(live(step)) for step in one)
    for found in got:  # each is one of the others, which is then used up
        place = next(i for i, wanted in enumerate(expected) if torch.allclose(wanted, found, rtol=1e-6, atol=1e-9))
        del expected[place]


@settings(relaxed, max_examples=60)
@given(cells, st.permutations(range(4)), st.lists(st.booleans(), min_size=4, max_size=4))
def test_steps_in_another_order_and_edges_swapped_are_the_same_cell(
    cell: Cell, order: list[int], swaps: list[bool]
) -> None:
    """Of all orders the drawn one is kept as far as steps may not come before what they come from."""
    placed: list[int] = []
    while len(placed) < 4:
        ready = [s for s in order if s not in placed and all(e[0] - INPUTS in (-2, -1, *placed) for e in cell[s])]
        placed.append(ready[0])
    name = {0: 0, 1: 1} | {INPUTS + step: INPUTS + new for new, step in enumerate(placed)}
    other = tuple(
        tuple((name[source], op) for source, op in (cell[step][::-1] if swap else cell[step]))
        for step, swap in zip(placed, swaps, strict=True)
    )
    for reduces in (False, True):
        assert canonical(other, reduces, SKIP) == canonical(cell, reduces, SKIP)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "reduces", "expected"),
    [
        ("AsBn-Cp3An", False, "AsAn-Ap3An"),  # C is a copy of A, so that D comes from A
        ("AsBn-Cp3An", True, "AsAn-Cp3An"),  # in a reduction that skip halves the map: it is no copy
        ("AnBn-Cp3As", False, "AsAn-AnAn"),  # C is nothing, so that D is a copy of A
        ("AnBn-CsCp5", False, "BsAn-AnAn"),  # nothing at all
        ("Bp3As-AsBp3", False, "AsBp3-AsBp3"),
        ("Bp3Bs-Ap3An", False, "Ap3An-BsBp3"),
    ],
)
def test_spellings_of_one_cell_by_hand(written: str, reduces: bool, expected: str) -> None:
    assert spelled(canonical(read(written), reduces, SKIP)) == expected


def test_a_small_space_has_as_many_cells_as_can_be_told_apart_by_what_they_compute() -> None:
    """One step, three operations: 28 pairs of six edges and nothing, less the one of nothing, which is a skip of B."""
    space = FttSpace((1, 8, 8), 2, channels=1, cells=3, steps=1, operations=(NONE, SKIP, "conv_1x1", "avg_pool_3x3"))
    every = {space.decode(choices) for choices in itertools.product(*(range(len(d.options)) for d in space.decisions))}
    assert len(every) == 27**2
    assert space.size() == 28**2


@settings(relaxed, max_examples=15)
@given(cells, cells)
def test_the_module_computes_what_the_letters_say(normal: Cell, reduction: Cell) -> None:
    """Every cell, also those that nothing reads, beside the module, which leaves them out."""
    one = SMALL.parse(f"{spelled(normal)}_{spelled(reduction)}")
    plan = SMALL.plan(one)
    network = filled(FttNetwork(plan))
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        outputs = {-1: network.stem(x)}  # type: ignore[operator]
        for place, cell in enumerate([SMALL.cells_of(one)[0], *SMALL.cells_of(one)[1:] * 2]):
            if place not in plan.cells:
                continue
            shaped = plan.cells[place]
            assert shaped.cell == cell
            inputs = {
                source: filled(operation([shaped.inputs[source]]))(outputs[index])
                for source, index in shaped.sources.items()
            }
            given_all = [inputs.get(source, next(iter(inputs.values()))) for source in range(INPUTS)]
            outputs[place] = torch.cat(computed(cell, given_all, shaped.reduces), 1)
        expected = network.head(outputs[max(outputs)].mean((2, 3)))  # type: ignore[operator]
        torch.testing.assert_close(network(x), expected)


def test_cells_that_nothing_reads_are_left_out() -> None:
    space = FttSpace((1, 16, 16), 3, channels=2, cells=8, steps=1)
    reads_a, reads_b = space.parse("Ap3An_Am3An"), space.parse("Bp3An_Bm3An")
    assert list(space.plan(reads_b).cells) == list(range(8))
    assert list(space.plan(reads_a).cells) == [1, 3, 5, 7]


@pytest.mark.parametrize("seed", range(4))
def test_exported_networks_compute_what_torch_computes(seed: int) -> None:
    pytest.importorskip("ai_edge_litert")
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = randomise(SMALL.module(SMALL.sample(rng)), seed=seed)
    pixels, shape = images(16, SMALL.image_shape), (1, *SMALL.image_shape)
    assert verify(export_tflite(network, shape), network, pixels[:4]).relative_difference < 1e-5
    assert verify(export_tflite(network, shape, calibration=pixels), network, pixels).relative_difference < 0.3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ap3Bs-AsBs-AsBs-AsBs", "has 1 cells"),
        ("Ap3Bs_Ap3Bs", "a cell has 1 steps, the space 4"),
        ("Ap3Cs-AsBs-AsBs-AsBs_Ap3Bs-AsBs-AsBs-AsBs", "step C cannot come from C"),
        ("Ap7Bs-AsBs-AsBs-AsBs_Ap3Bs-AsBs-AsBs-AsBs", "'Ap7Bs' is no step"),
        ("Ap3-AsBs-AsBs-AsBs_Ap3Bs-AsBs-AsBs-AsBs", "'Ap3' is no step"),
        ("Ac3Bs-AsBs-AsBs-AsBs_Ap3Bs-AsBs-AsBs-AsBs", "the space has no relu_conv_bn_3x3"),
    ],
)
def test_a_text_that_names_no_network_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        FttSpace().parse(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_shape": (3, 7, 8)}, "at least 8 × 8"),
        ({"classes": 1}, "two classes"),
        ({"cells": 2}, "three cells"),
        ({"steps": 6}, "1 to 5 steps"),
        ({"operations": ("none",)}, "not none alone"),
        ({"operations": ("conv_9x9",)}, "different ones of"),
        ({"operations": ("skip_connect", "skip_connect")}, "different ones of"),
    ],
)
def test_settings_that_no_network_has_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        FttSpace(**changes)


def test_the_graph_has_a_way_for_each_live_edge_and_leads_to_its_end() -> None:
    space, rng = FttSpace(), np.random.default_rng(0)
    for one in (space.sample(rng) for _ in range(30)):
        graph = space.graph(one)
        assert (graph.edges[:, 0] < graph.edges[:, 1]).all()
        assert graph.edges.max() == graph.nodes - 1 == 14
        joins = graph.operations == space.operation_names.index("join")
        assert (~joins).sum() == sum(len(live(step)) for cell in space.cells_of(one) for step in cell)
        assert NONE not in {space.operation_names[index] for index in graph.operations}


def test_the_papers_operations() -> None:
    assert len(FEATURE_OPERATIONS) == 8
    assert set(WEIGHT_OPERATIONS) - set(FEATURE_OPERATIONS) == {"relu_conv_bn_3x3", "relu_conv_bn_5x5", "conv_1x1"}
    assert len(set(CODES.values())) == len(CODES)


def test_a_space_without_none_or_skip_holds() -> None:
    space, rng = FttSpace((1, 8, 8), 2, 2, 3, 2, ("sep_conv_3x3", "max_pool_3x3")), np.random.default_rng(0)
    for _ in range(20):
        one = space.sample(rng)
        assert space.decode(space.encode(one)) == space.parse(one.text) == one
        assert isinstance(one, Architecture)
