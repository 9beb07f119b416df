"""The spaces that come with the search keep the contract of spaces; a user's own is in test_user.py."""

from __future__ import annotations

import pickle

import numpy as np

from search.spaces import MobileSpace
from search.spaces.base import Space
from search.spaces.ftt import WEIGHT_OPERATIONS, FttSpace
from search.spaces.nb201 import Nb201Space
from search.spaces.restricted import restricted
from tests.search.spaces.contract import SpaceContract


class TestMobileSpace(SpaceContract):
    def make(self) -> Space:
        return MobileSpace((1, 8, 8), 10, widths=((4, 8), (8, 16)))


class TestNb201Space(SpaceContract):
    def make(self) -> Space:
        return Nb201Space((3, 8, 8), 10, channels=4, cells=1)


class TestRestricted(SpaceContract):
    def make(self) -> Space:
        whole, rng = Nb201Space((3, 8, 8), 10, channels=4, cells=1), np.random.default_rng(0)
        return restricted(whole, [whole.sample(rng) for _ in range(300)], "a-table")


class TestFttSpace(SpaceContract):
    def make(self) -> Space:
        return FttSpace((1, 9, 12), 3, channels=2, cells=5, steps=3, operations=WEIGHT_OPERATIONS)


def test_a_restricted_space_goes_to_another_process() -> None:
    space = TestRestricted().make()
    copy = pickle.loads(pickle.dumps(space))
    assert copy.name == space.name
    assert copy.size() == space.size() > 100
