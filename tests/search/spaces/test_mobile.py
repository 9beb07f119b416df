"""The mobile space: variation stays within it, spellings agree, costs are exact, members can be exported."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from search.export import export_tflite, verify
from search.spaces import Architecture, MobileSpace, SpaceError
from tests.search.spaces.contract import counted

SPACES = [
    MobileSpace((1, 8, 8), 10),
    MobileSpace((1, 16, 16), 10),
    MobileSpace((3, 32, 32), 7, widths=((8, 16), (16, 24), (24,), (32, 48)), depth=2),
    MobileSpace((2, 9, 13), 2, kernels=(3,), expansions=(1, 6), widths=((4,),), depth=2, kinds=("m",)),
]
spaces = st.sampled_from(SPACES)
seeds = st.integers(0, 2**32)
relaxed = settings(deadline=None)  # a busy machine is no failure


def generator(seed):
    return np.random.default_rng(seed)


@relaxed
@given(spaces, seeds)
def test_whatever_is_drawn_is_in_the_space_and_canonical(space, seed):
    rng = generator(seed)
    first, second = space.sample(rng), space.sample(rng)
    for one in (
        first,
        space.mutate(first, rng),
        space.crossover(first, second, rng),
        space.largest(rng),
        space.smallest(rng),
    ):
        assert space.parse(one.text) == one
        assert space.canonical(space.canonical(one)) == space.canonical(one) == one
        assert len(space.features(one)) == len(space.feature_names)


@relaxed
@given(spaces, seeds)
def test_mutation_changes_the_network(space, seed):
    one = space.sample(generator(seed))
    assert space.mutate(one, generator(seed)) != one


@relaxed
@given(spaces, seeds)
def test_a_child_takes_every_setting_from_a_parent(space, seed):
    rng = generator(seed)
    first, second = space.sample(rng), space.sample(rng)
    child = space.genes(space.crossover(first, second, rng))
    for stage, one, other in zip(child, space.genes(first), space.genes(second), strict=True):
        assert stage.width in (one.width, other.width)
        assert len(stage.blocks) in (len(one.blocks), len(other.blocks))
        for index, block in enumerate(stage.blocks):
            assert block in [parent.blocks[index] for parent in (one, other) if index < len(parent.blocks)]


@relaxed
@given(seeds)
def test_a_child_of_equal_parents_is_their_equal(seed):
    space, rng = SPACES[1], generator(seed)
    one = space.sample(rng)
    assert space.crossover(one, one, rng) == one


@relaxed
@given(spaces, seeds, st.data())
def test_settings_that_are_switched_off_make_no_other_network(space, seed, data):
    rng = generator(seed)
    one, extra = space.sample(rng), space.sample(rng)
    stages = []
    for stage, other in zip(space.genes(one), space.genes(extra), strict=True):
        off = [str(block) for block in other.blocks] if data.draw(st.booleans()) else []
        on = [f"{b}e3" if b.kind == "c" and data.draw(st.booleans()) else str(b) for b in stage.blocks]
        stages.append("-".join([f"{stage.width}d{len(on)}", *on, *off]))
    spelling = Architecture("_".join(stages))
    assert spelling != one
    assert space.canonical(spelling) == one
    assert space.macs(spelling) == space.macs(one)
    assert (space.features(spelling) == space.features(one)).all()


@relaxed
@given(spaces, seeds)
def test_the_same_seed_draws_the_same(space, seed):
    assert space.sample(generator(seed)) == space.sample(generator(seed))


def test_features_tell_any_two_networks_apart():
    space, rng = SPACES[1], generator(0)
    drawn = {space.sample(rng) for _ in range(500)}
    assert len({tuple(space.features(one)) for one in drawn}) == len(drawn)


def test_size_counts_every_network():
    space = MobileSpace((1, 8, 8), 2, widths=((4,), (4, 8)), depth=2, kernels=(3,), expansions=(1, 2))
    rng = generator(0)
    assert len({space.sample(rng) for _ in range(20_000)}) == space.size() == 288


def test_evolution_reaches_every_network():
    space = MobileSpace((1, 8, 8), 2, widths=((4, 8),), depth=2, kernels=(3, 5), expansions=(1, 2))
    rng = generator(0)
    seen, one = set(), space.sample(rng)
    for _ in range(5000):
        one = space.mutate(one, rng)
        seen.add(one)
    assert len(seen) == space.size()


def test_a_space_of_one_network_cannot_mutate():
    space = MobileSpace((1, 8, 8), 2, widths=((4,),), depth=1, kernels=(3,), kinds=("c",))
    with pytest.raises(SpaceError, match="one network only"):
        space.mutate(space.sample(generator(0)), generator(0))


@settings(relaxed, max_examples=30)
@given(spaces, seeds)
def test_costs_are_those_of_the_module(space, seed):
    one = space.sample(generator(seed))
    assert (space.macs(one), space.parameters(one)) == counted(space.module(one), space.image_shape)


@settings(relaxed, max_examples=15)
@given(spaces, seeds)
def test_exported_members_agree_with_torch(space, seed):
    pytest.importorskip("ai_edge_litert")
    torch.manual_seed(seed)
    network = space.module(space.sample(generator(seed))).eval()
    images = torch.randn(4, *space.image_shape)
    found = verify(export_tflite(network, (1, *space.image_shape)), network, images)
    assume(found.logit_std > 1e-6)
    assert found.relative_difference <= 1e-4


@pytest.mark.parametrize(
    ("shape", "strides"),
    [
        ((1, 8, 8), (1, 2, 1, 1)),
        ((1, 16, 16), (1, 2, 2, 1)),
        ((3, 28, 28), (1, 2, 2, 1)),
        ((3, 32, 32), (1, 2, 2, 2)),
        ((3, 224, 224), (2, 2, 2, 2)),
        ((1, 16, 64), (1, 2, 2, 1)),
    ],
)
def test_strides_follow_the_image(shape, strides):
    assert MobileSpace(shape, 10).strides == strides


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no stage"),
        ("8-c3_16-c3", "has 2 stages, the space 3"),
        ("9-c3_16-c3_16-c3", "stage 1 may be 4, 8, 16 wide, not 9"),
        ("8-c3_16_16-c3", "0 blocks"),
        ("8-c3_16d2-c3_16-c3", "a depth of 2"),
        ("8-c3_16-x3_16-c3", "'x3' is no block"),
        ("8-c3_16-m3_16-c3", "'m3' is no block"),
        ("8-c3_16-m9e2_16-c3", "m9e2 of stage 2 is not in the space"),
        ("8-c3-c3-c3-c3_16-c3_16-c3", "4 blocks; 3 are allowed"),
        ("8-c３_16-c3_16-c3", "is no block"),
    ],
)
def test_a_text_that_names_no_network_is_refused_with_the_reason(text, message):
    with pytest.raises(SpaceError, match=message):
        MobileSpace((1, 8, 8), 10, depth=3).parse(text)


@relaxed
@given(st.text(alphabet="0123456789cmed-_ ", max_size=40))
def test_any_text_is_read_or_refused(text):
    space = SPACES[3]
    try:
        one = space.parse(text)
    except SpaceError:
        return
    assert space.parse(one.text) == one


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_shape": (1, 7, 9)}, "at least 8 × 8"),
        ({"classes": 1}, "two classes"),
        ({"widths": ()}, "there must be a stage"),
        ({"widths": ((8, 8),)}, "rising order"),
        ({"kernels": (2,)}, "1, 3, 5 or 7"),
        ({"expansions": ()}, "positive, different"),
        ({"kinds": ("x",)}, "m and c"),
        ({"depth": 0}, "1 to 99 blocks"),
    ],
)
def test_contradictory_settings_are_refused(changes, message):
    with pytest.raises(SpaceError, match=message):
        MobileSpace(**({"image_shape": (1, 8, 8), "classes": 10} | changes))


def test_spaces_can_be_read_without_loading_torch():
    """A command line that checks a file of settings should answer at once."""
    code = "import sys, search.spaces; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_spaces_name_tells_its_settings():
    assert len({space.name for space in SPACES}) == len(SPACES)
    assert MobileSpace((1, 8, 8), 10, widths=((8, 12),)).name != MobileSpace((1, 8, 8), 10, widths=((8,), (12,))).name
