"""What every space has to do. A space's tests inherit `SpaceContract` and give `make`."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search.export import export_tflite, verify
from search.spaces.base import Architecture, Space, SpaceError
from search.spaces.variation import neighbours

#: Networks that are drawn for what is quick, and for what builds a module.
_DRAWS, _BUILDS = 40, 4


def counted(network: nn.Module, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Multiplications and trainable parameters, counted while the network runs."""
    total = []

    def count(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.Linear)
        total.append(module.weight[0].numel() * output[0].numel())

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        network.eval()(torch.zeros(1, *image_shape))
    for hook in hooks:
        hook.remove()
    return sum(total), sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


class SpaceContract(ABC):
    """Texts, decisions, variation, what predictors see, and costs that are those of the module."""

    @abstractmethod
    def make(self) -> Space:
        """The space, a small one: networks are built and run."""

    def drawn(self, space: Space, count: int = _DRAWS, seed: int = 0) -> Iterator[Architecture]:
        rng = np.random.default_rng(seed)
        for _ in range(count):
            yield space.sample(rng)

    def spelled(self, space: Space, count: int = _DRAWS, seed: int = 1) -> Iterator[tuple[int, ...]]:
        """Any options, also of decisions that others switch off."""
        rng = np.random.default_rng(seed)
        for _ in range(count):
            yield tuple(int(rng.integers(len(decision.options))) for decision in space.decisions)

    def test_whatever_is_handed_out_is_canonical_and_reads_back(self) -> None:
        space, rng = self.make(), np.random.default_rng(0)
        previous = space.sample(rng)
        for choices in self.spelled(space):
            one = space.sample(rng)
            assert space.allows(one)
            child = space.crossover(one, previous, rng)
            for handed in (one, space.mutate(one, rng), child, space.decode(choices), *neighbours(space, child)):
                assert re.fullmatch(r"[A-Za-z0-9_-]+", handed.text)
                assert space.parse(handed.text) == space.canonical(handed) == handed
            previous = one

    def test_names_tell_apart(self) -> None:
        space = self.make()
        assert space.name
        assert len({decision.name for decision in space.decisions}) == len(space.decisions) > 0
        for decision in space.decisions:
            assert len(set(decision.options)) == len(decision.options) > 0
        assert len(set(space.feature_names)) == len(space.feature_names)

    def test_decisions_make_the_network_that_they_were_read_from(self) -> None:
        space = self.make()
        for one in self.drawn(space):
            choices = space.encode(one)
            assert len(choices) == len(space.decisions)
            assert space.decode(choices) == one
        for choices in self.spelled(space):
            one = space.decode(choices)
            assert space.encode(space.decode(space.encode(one))) == space.encode(one)

    def test_choices_that_are_none_are_refused(self) -> None:
        space = self.make()
        choices = [0] * len(space.decisions)
        options = len(space.decisions[0].options)
        for wrong in (choices[1:], [*choices, 0], [options, *choices[1:]], [-1, *choices[1:]]):
            with pytest.raises(SpaceError):
                space.decode(wrong)

    def test_texts_that_name_no_network_are_refused(self) -> None:
        space = self.make()
        text = next(self.drawn(space)).text
        for wrong in ("", " ", "-", "_", "../x", "nonsense", f"{text}x", f" {text}", f"{text}\n", text[1:], "٣" + text):
            with pytest.raises(SpaceError):
                space.parse(wrong)
            with pytest.raises(SpaceError):
                space.encode(Architecture(wrong))

    def test_the_same_seed_draws_the_same(self) -> None:
        space = self.make()
        runs = []
        for _ in range(2):
            rng = np.random.default_rng(7)
            first, second = space.sample(rng), space.sample(rng)
            runs.append((first, second, space.mutate(first, rng), space.crossover(first, second, rng)))
        assert runs[0] == runs[1]

    def test_a_mutation_is_another_network_and_a_child_of_equals_their_equal(self) -> None:
        space, rng = self.make(), np.random.default_rng(3)
        for one in self.drawn(space):
            assert space.mutate(one, rng) != one
            assert space.crossover(one, one, rng) == one

    def test_neighbours_are_each_one_decision_away_and_listed_once(self) -> None:
        space = self.make()
        for one in self.drawn(space, 5):
            found = list(neighbours(space, one))
            assert found
            assert one not in found
            assert len(set(found)) == len(found)

    def test_there_are_at_most_as_many_networks_as_the_space_says(self) -> None:
        space = self.make()
        assert 1 < len(set(self.drawn(space, 200))) <= space.size()

    def test_predictors_see_the_network_and_not_its_spelling(self) -> None:
        space = self.make()
        for choices in self.spelled(space):
            one = space.decode(choices)
            row = space.features(one)
            assert row.shape == (len(space.feature_names),)
            assert np.isfinite(row).all()
            assert (row == space.features(space.parse(one.text))).all()
            counts = space.operators(one)
            assert all(isinstance(key, str) and np.isfinite(count) and count >= 0 for key, count in counts.items())

    def test_operators_of_networks_differ(self) -> None:
        space = self.make()
        assert len({tuple(sorted(space.operators(one).items())) for one in self.drawn(space)}) > 1

    def test_costs_are_those_of_the_module(self) -> None:
        space = self.make()
        for one in self.drawn(space, _BUILDS):
            network = space.module(one)
            assert (space.macs(one), space.parameters(one)) == counted(network, space.image_shape)
            with torch.no_grad():
                assert network.eval()(torch.zeros(2, *space.image_shape)).shape == (2, space.classes)

    def test_weights_come_from_torchs_generator(self) -> None:
        space = self.make()
        one = next(self.drawn(space))
        images, answers = torch.ones(1, *space.image_shape), []
        for seed in (5, 5, 6):
            torch.manual_seed(seed)
            with torch.no_grad():
                answers.append(space.module(one).eval()(images))
        assert torch.equal(answers[0], answers[1])
        assert not torch.equal(answers[0], answers[2])

    def test_networks_can_be_exported(self) -> None:
        pytest.importorskip("ai_edge_litert")
        space = self.make()
        images = torch.randn(2, *space.image_shape, generator=torch.Generator().manual_seed(0))
        for seed, one in enumerate(self.drawn(space, _BUILDS)):
            torch.manual_seed(seed)
            network = space.module(one).eval()
            assert verify(export_tflite(network, (1, *space.image_shape)), network, images).relative_difference < 1e-4
