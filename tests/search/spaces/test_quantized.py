"""Networks with the choice of how they are stored keep the contract, and weights do not depend on that choice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from search.export import Precision, export_tflite
from search.spaces import MobileSpace
from search.spaces.base import Architecture, Space, SpaceError
from search.spaces.nb201 import Nb201Space
from search.spaces.quantized import QuantizedSpace, network_space
from search.spaces.storage import PRECISIONS
from tests.search.spaces.contract import SpaceContract

MOBILE = MobileSpace((1, 8, 8), 10, widths=((4, 8), (8, 16)))
CELLS = Nb201Space((3, 8, 8), 10, channels=4, cells=1)
ALL = tuple(PRECISIONS)


class TestPerNetwork(SpaceContract):
    def make(self) -> Space:
        return QuantizedSpace(MOBILE, ALL, "network", (1.0, 0.9, 0.8))


class TestPerStage(SpaceContract):
    def make(self) -> Space:
        return QuantizedSpace(MOBILE, ("int8", "float32"), "stage")


class TestPerLayer(SpaceContract):
    def make(self) -> Space:
        return QuantizedSpace(MOBILE, ("int16x8", "int8"), "layer", (1.0, 0.5))


class TestClipAlone(SpaceContract):
    def make(self) -> Space:
        return QuantizedSpace(CELLS, ("int8",), "network", (1.0, 0.75))


SPACES = [kind().make() for kind in (TestPerNetwork, TestPerStage, TestPerLayer, TestClipAlone)]


@given(st.sampled_from(SPACES), st.integers(0, 2**32 - 1))
def test_a_child_has_each_setting_from_a_parent(space: QuantizedSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parents = [space.sample(rng), space.sample(rng)]
    child = space.crossover(*parents, rng)
    of_network = len(space.inner.decisions)
    present = space.storage(child)
    assert present.clip in {space.storage(parent).clip for parent in parents}
    rows = [space.encode(one)[of_network:] for one in (*parents, child)]
    if space.per != "layer":  # a parent may lack a layer, and then has nothing to say of it
        assert all(got in (one, other) for one, other, got in zip(*rows, strict=True))


@given(st.sampled_from(SPACES), st.integers(0, 2**32 - 1))
def test_a_mutation_changes_the_network_or_how_it_is_stored_and_never_both(space: QuantizedSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = space.sample(rng)
    after = space.mutate(before, rng)
    same_network = space.network(before) == space.network(after)
    if same_network:
        of_network = len(space.inner.decisions)
        pairs = zip(space.encode(before)[of_network:], space.encode(after)[of_network:], strict=True)
        assert sum(one != other for one, other in pairs) == 1
    else:
        assert space.storage(before).clip == space.storage(after).clip


def test_both_kinds_of_mutation_happen() -> None:
    space, rng = SPACES[0], np.random.default_rng(0)
    one = space.sample(rng)
    stored = sum(space.network(space.mutate(one, rng)) == space.network(one) for _ in range(400))
    assert 0.1 < stored / 400 < 0.35


def test_a_name_tells_how_it_is_stored() -> None:
    inner = MOBILE.sample(np.random.default_rng(0))
    space = QuantizedSpace(MOBILE, ALL, "stage", (1.0, 0.9))
    one = space.parse(f"{inner.text}_qwf900")
    assert space.network(one) == inner
    found = space.storage(one)
    assert found.clip == 0.9
    assert found.layers["stem"] == found.layers["blocks.0"] == "int16x8"
    assert found.layers["head"] == "float32"
    assert one.text == f"{inner.text}_qwf900"


def test_costs_of_int8_are_those_of_the_space_inside() -> None:
    for space in (QuantizedSpace(MOBILE, ALL, per) for per in ("network", "stage", "layer")):  # type: ignore[arg-type]
        inner = MOBILE.sample(np.random.default_rng(3))
        eight = space.decode([*MOBILE.encode(inner), *[0] * len(space.parts), 0])
        float32 = space.decode([*MOBILE.encode(inner), *[3] * len(space.parts), 0])
        assert space.operators(eight) == MOBILE.operators(inner)
        assert space.operators(float32) == {f"{k} float32": n for k, n in MOBILE.operators(inner).items()}
        assert space.macs(eight) == space.macs(float32) == MOBILE.macs(inner)


@pytest.mark.parametrize("per", ["network", "stage", "layer"])
def test_the_paths_are_those_of_the_network(per: str) -> None:
    pytest.importorskip("ai_edge_litert")
    space, rng = QuantizedSpace(MOBILE, ALL, per), np.random.default_rng(5)  # type: ignore[arg-type]
    images = torch.randn(4, 1, 8, 8)
    for _ in range(4):
        one = space.sample(rng)
        stored = space.storage(one)
        exported = export_tflite(
            space.module(one).eval(),
            (1, 1, 8, 8),
            calibration=images,
            precision=Precision(stored.precision),
            layers={path: Precision(name) for path, name in stored.layers.items()},
            clip=stored.clip,
        )
        present = {stored.precision} if per == "network" else set(stored.layers.values())
        assert exported.precision == (present.pop() if len(present) == 1 else "mixed")
        if per == "layer":
            assert set(stored.layers) == {link.path for link in exported.sites}


def test_networks_alone_are_what_shares_weights() -> None:
    assert network_space(SPACES[0]) is MOBILE
    assert network_space(MOBILE) is MOBILE


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precisions": ()}, "must be different ones: none"),
        ({"precisions": ("int8", "int8")}, "must be different ones"),
        ({"precisions": ("int8", "int4")}, "no precision 'int4'; there are int8, int16x8, float16, float32"),
        ({"precisions": ("int8",)}, "nothing to choose"),
        ({"clips": (1.0, 0.0)}, "above 0 and at most 1"),
        ({"clips": (1.0, 1.1)}, "above 0 and at most 1"),
        ({"clips": (1.0, 0.9, 0.9)}, "different shares"),
        ({"clips": (1.0, 0.99999)}, "whole thousandths"),
        ({"clips": ()}, "above 0 and at most 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, tuple[object, ...]], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        QuantizedSpace(MOBILE, **settings)  # type: ignore[arg-type]


def test_a_space_that_has_no_stages_says_so() -> None:
    with pytest.raises(SpaceError, match="only the mobile space says what a stage is; write per: network"):
        QuantizedSpace(CELLS, ALL, "stage")


def test_names_without_or_with_another_storage_are_refused() -> None:
    space = SPACES[0]
    inner = MOBILE.sample(np.random.default_rng(0)).text
    for wrong, message in [
        (inner, "does not say how it is stored"),
        (f"{inner}_qb", "does not say how it is stored"),
        (f"{inner}_qb950", "may be 1000, 900, 800 thousandths, not 950"),
        (f"{inner}_qbb900", "1 letters of bwhf"),
        (f"{inner}_qz900", "1 letters of bwhf"),
    ]:
        with pytest.raises(SpaceError, match=message):
            space.parse(wrong)
        with pytest.raises(SpaceError):
            space.operators(Architecture(wrong))
