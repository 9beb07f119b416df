"""Selective protection: cheap enough, nested, and as good as the best there is, or nearly."""

from __future__ import annotations

import itertools
import json
from typing import Dict, List, Tuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fault_injection.protection import SEC_DED, TMR, Cost, Proposal, Protection, RangeClipping, propose
from fault_injection.vulnerability import Outcome, Stratum, StratumResult, Tally, VulnerabilityMap

Harms = Dict[str, Tuple[int, List[float]]]


def a_map(harms: Harms) -> VulnerabilityMap:
    """Tensors of so many values, and for each bit, 0 first, the mean share of images that an upset in it spoils."""
    return VulnerabilityMap(
        tuple(
            StratumResult(Stratum(site, bit, values), 1, dict.fromkeys(Outcome, Tally(share, share * share, share > 0)))
            for site, (values, shares) in harms.items()
            for bit, share in enumerate(shares)
        )
    )


def harm_left(harms: Harms, proposal: Proposal) -> float:
    every = {
        (site, bit): values * share for site, (values, shares) in harms.items() for bit, share in enumerate(shares)
    }
    left = [harm for (site, bit), harm in every.items() if not proposal.protection.mask(site) >> bit & 1]
    return sum(left) / sum(every.values())


def best_possible(harms: Harms, cost: Cost, budget: float) -> float:
    """Harm left by the best choice of top bits for each tensor, by trying all."""
    exposed = sum(values * len(shares) for values, shares in harms.values())
    total = sum(values * sum(shares) for values, shares in harms.values())
    options = []
    for values, shares in harms.values():
        counts = [0, len(shares)] if cost.whole else range(len(shares) + 1)
        options.append(
            [(cost.extra_bits(values * count), values * sum(shares[len(shares) - count :])) for count in counts]
        )
    saved = [
        sum(harm for _, harm in choice)
        for choice in itertools.product(*options)
        if sum(extra for extra, _ in choice) <= budget * exposed + 1e-9
    ]
    return 1 - max(saved) / total


@st.composite
def networks(draw: st.DrawFn) -> Harms:
    shares = st.lists(st.sampled_from([0.0, 0.001, 0.02, 0.1, 0.5, 0.9]), min_size=4, max_size=4)
    harms = {f"t{i}": (draw(st.integers(1, 300)), draw(shares)) for i in range(draw(st.integers(1, 4)))}
    return harms if any(sum(shares) for _, shares in harms.values()) else {"t0": (7, [0.0, 0.0, 0.1, 0.5])}


@given(networks(), st.lists(st.floats(0, 2.5), min_size=1, max_size=5), st.sampled_from([TMR, SEC_DED]))
@settings(deadline=None)
def test_proposals_keep_to_their_budgets_and_are_nested(harms: Harms, budgets: List[float], cost: Cost) -> None:
    proposals = propose(a_map(harms), cost, budgets)
    exposed = sum(values * len(shares) for values, shares in harms.values())
    for budget, proposal in zip(budgets, proposals):
        spent = sum(cost.extra_bits(harms[site][0] * len(bits)) for site, bits in proposal.protection.bits.items())
        assert proposal.overhead == pytest.approx(spent / exposed)
        assert proposal.overhead <= budget * (1 + 1e-9)
        assert proposal.harm_left == pytest.approx(harm_left(harms, proposal), abs=1e-9)
        assert 0 <= proposal.harm_bound <= proposal.harm_left <= 1
        for site, bits in proposal.protection.bits.items():
            assert bits == tuple(range(len(harms[site][1]) - 1, -1, -1))[: len(bits)], "the most significant bits"
    by_budget = [proposal for _, proposal in sorted(zip(budgets, proposals), key=lambda pair: pair[0])]
    for smaller, larger in zip(by_budget, by_budget[1:]):
        assert larger.harm_left <= smaller.harm_left
        assert larger.overhead >= smaller.overhead
        for site, bits in smaller.protection.bits.items():
            assert set(bits) <= set(larger.protection.bits[site])


@given(networks(), st.floats(0, 2.2), st.sampled_from([TMR, SEC_DED]))
@settings(deadline=None)
def test_no_choice_beats_the_bound(harms: Harms, budget: float, cost: Cost) -> None:
    (proposal,) = propose(a_map(harms), cost, [budget])
    best = best_possible(harms, cost, budget)
    assert proposal.harm_bound <= best + 1e-9
    assert best <= proposal.harm_left + 1e-9


@given(networks(), st.floats(0, 2.2))
@settings(deadline=None)
def test_what_is_spent_to_the_end_is_spent_best(harms: Harms, budget: float) -> None:
    (proposal,) = propose(a_map(harms), TMR, [budget])
    # At the cost that it came to, with no step left out, nothing is better.
    if proposal.harm_left - proposal.harm_bound < 1e-12:
        assert best_possible(harms, TMR, proposal.overhead) == pytest.approx(proposal.harm_left, abs=1e-9)


def test_the_loss_to_the_best_choice_is_small() -> None:
    random = np.random.default_rng(31)
    losses = []
    for _ in range(40):
        harms = {
            f"t{i}": (int(random.integers(20, 400)), np.sort(random.uniform(0, 1, 4) ** 4).tolist()) for i in range(5)
        }
        budgets = [0.1, 0.3, 0.6]
        for budget, proposal in zip(budgets, propose(a_map(harms), TMR, budgets)):
            losses.append(proposal.harm_left - best_possible(harms, TMR, budget))
    assert min(losses) > -1e-9
    assert np.mean(losses) < 0.02
    assert np.max(losses) < 0.15


def test_nothing_costs_nothing_and_everything_leaves_nothing() -> None:
    harms: Harms = {"a": (10, [0.1, 0.2]), "b": (5, [0.3, 0.4])}
    nothing, everything = propose(a_map(harms), TMR, [0.0, 2.0])
    assert nothing == Proposal(0.0, Protection({}), 1.0, 1.0)
    assert everything == Proposal(2.0, Protection({"a": (1, 0), "b": (1, 0)}), 0.0, 0.0)


def test_a_harmful_bit_is_found_below_a_harmless_one() -> None:
    (found,) = propose(a_map({"a": (10, [0.0, 0.9, 0.0]), "b": (10, [0.0, 0.0, 0.1])}), TMR, [4 / 6])
    assert found.protection.bits == {"a": (2, 1)}


def test_weights_of_sites_decide() -> None:
    both = a_map({"a": (10, [0.5]), "b": (10, [0.4])})
    assert propose(both, TMR, [1.0])[0].protection.bits == {"a": (0,)}
    assert propose(both, TMR, [1.0], Outcome.SDC1, {"a": 1.0, "b": 2.0})[0].protection.bits == {"b": (0,)}


def test_bits_without_harm_are_not_paid_for() -> None:
    (found,) = propose(a_map({"a": (10, [0.0, 0.5]), "b": (10, [0.0, 0.0])}), TMR, [2.0])
    assert (found.protection.bits, found.harm_left) == ({"a": (1,)}, 0.0)
    (harmless,) = propose(a_map({"a": (10, [0.0])}), TMR, [2.0])
    assert harmless == Proposal(0.0, Protection({}), 0.0, 0.0)


def test_codes_are_paid_by_the_word() -> None:
    assert SEC_DED.extra_bits(64) == 8
    assert SEC_DED.extra_bits(65) == 16
    assert TMR.extra_bits(3) == 6
    with pytest.raises(ValueError, match="whole tensors"):
        Cost("nibbles", 0.5, word_bits=8)
    with pytest.raises(ValueError, match="budget"):
        propose(a_map({"a": (10, [0.5])}), TMR, [-0.1])


def test_large_networks_are_decided_quickly_enough_for_a_curve() -> None:
    random = np.random.default_rng(32)
    harms = {f"t{i}": (int(random.integers(1, 10**6)), (random.random(8) ** 6).tolist()) for i in range(150)}
    curve = [proposal.harm_left for proposal in propose(a_map(harms), TMR, np.linspace(0, 2, 21).tolist())]
    assert curve == sorted(curve, reverse=True)
    assert curve[0] == 1
    assert curve[-1] == pytest.approx(0)


# --- the value that samplers use


@given(st.dictionaries(st.text(max_size=4), st.sets(st.integers(0, 63)).map(lambda bits: tuple(sorted(bits)))))
def test_protections_survive_json(bits: Dict[str, Tuple[int, ...]]) -> None:
    protection = Protection(bits)
    assert Protection.from_dict(json.loads(json.dumps(protection.to_dict()))) == protection


def test_faults_in_protected_bits_are_dropped() -> None:
    protection = Protection({"conv": (7, 6), "float": (31, 63)})
    assert protection.mask("conv") == 0b1100_0000
    assert protection.mask("other") == 0
    bits = np.array([0, 7, 6, 5, 7], np.uint8)
    assert protection.keeps("conv", bits).tolist() == [True, False, False, True, False]
    assert protection.keeps("other", bits).all()
    assert protection.keeps("float", np.array([31, 63, 62], np.uint8)).tolist() == [False, False, True]
    assert protection.keeps("conv", bits[:0]).shape == (0,)


@pytest.mark.parametrize("data", [{"a": 3}, {"a": ["x"]}, {"a": [64]}, {"a": [-1]}, []])
def test_what_is_no_protection_is_refused(data: Dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"protection|invalid literal"):
        Protection.from_dict(data)


# --- range clipping


def test_ranges_are_those_observed() -> None:
    found = RangeClipping.fit({"a": np.array([[3.0, -1.0], [2.0, 0.5]]), "b": [4.0]})
    assert found.bounds == {"a": (-1.0, 3.0), "b": (4.0, 4.0)}
    trimmed = RangeClipping.fit({"a": np.arange(101.0)}, (0.015, 0.985))
    assert trimmed.bounds == {"a": (1.0, 99.0)}


def test_ranges_of_batches_unite() -> None:
    batches = [np.array([1.0, 2.0]), np.array([-3.0, 0.0])]
    one, two = (RangeClipping.fit({"a": batch}) for batch in batches)
    assert one.union(two) == RangeClipping.fit({"a": np.concatenate(batches)})
    assert one.union(RangeClipping({"b": (0.0, 1.0)})).bounds == {"a": (1.0, 2.0), "b": (0.0, 1.0)}


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_ranges_need_finite_values(values: List[float]) -> None:
    with pytest.raises(ValueError, match="a: a range"):
        RangeClipping.fit({"a": values})


def test_ranges_survive_json() -> None:
    ranges = RangeClipping({"a": (-0.1, 1e30), "b": (0.0, 0.0)})
    assert RangeClipping.from_dict(json.loads(json.dumps(ranges.to_dict()))) == ranges


@pytest.mark.parametrize("data", [{"a": [1.0]}, {"a": [2.0, 1.0]}, {"a": 1.0}, {"a": [0.0, float("nan")]}, 3])
def test_what_are_no_ranges_is_refused(data: Dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"ranges|unpack"):
        RangeClipping.from_dict(data)
