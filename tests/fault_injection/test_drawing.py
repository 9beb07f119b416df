"""Each fault model against its definition: slow oracles that ask every cell, and laws that hold for every fault."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fault_injection import models as m
from fault_injection import sampling
from fault_injection.drawing import draw_features, draw_weights, effect_on_features, showing
from fault_injection.errors import UnsupportedModelError
from fault_injection.models import MODELS, parse
from fault_injection.plan import FaultPlan, Lifetime, Position, Scale
from fault_injection.sampling import Stream, draw_hits
from fault_injection.space import Effect, Faults, Site, apply, check, digest, hits

#: Of a standard normal: one honest test in 16,000 lies beyond.
FAR = 4.0
AFTER = Position.AFTER_ACTIVATION
Array = NDArray[Any]

CONV = Site("conv", "CONV_2D", (8, 3, 3, 4), 0)
DEPTHWISE = Site("dw", "DEPTHWISE_CONV_2D", (1, 3, 3, 8), 3)
DENSE = Site("dense", "FULLY_CONNECTED", (10, 16), 0)
WEIGHTS = [CONV, DEPTHWISE, DENSE]
MAPS = [
    Site("a", "CONV_2D", (6, 6, 8), 2, macs=36, zero=-128),
    Site("b", "DEPTHWISE_CONV_2D", (3, 3, 8), 2, macs=9, zero=5),
    Site("c", "FULLY_CONNECTED", (10,), 0, macs=72),
]
FLOATS = [Site("float", "CONV_2D", (4, 3, 3, 2), 0, bits=32), Site("float2", "FULLY_CONNECTED", (5, 4), 0, bits=32)]

ON_WEIGHTS = [
    "iBF(p=0.02)",
    "iBF(p=0.05, per=value)",
    "SEU",
    "adSAF(p=0.08)",
    "adSAF(p=0.08, variant=bit)",
    "adSAF(p=0.02, variant=memory)",
    "stuck(p=0.02, to=1)",
    "random(p=0.1)",
    "gauss(sigma=0.02)",
    "drift(t=1000)",
    "channel(p=0.2, to=random)",
    "burst(p=0.01, length=5)",
]
ON_MAPS = [
    "iBF(p=0.01)",
    "iBF(p=0.6)",
    "iBF(p=0.05, per=value)",
    "SEU",
    "MiBB(p_m=0.002)",
    "stuck(p=0.02, to=0)",
    "random(p=0.05)",
    "gauss(sigma=0.01)",
    "channel(p=0.1)",
    "channel(p=0.1, to=random)",
    "burst(p=0.003, length=11)",
]


def plan(text: str, **keywords: Any) -> FaultPlan:
    return FaultPlan(parse(text), **{"seed": 11, **keywords})


def flat(size: int, bits: int = 8, name: str = "w", **keywords: Any) -> Site:
    return Site(name, "FULLY_CONNECTED", (size, 1), 0, bits=bits, **keywords)


def random_contents(sites: Sequence[Site]) -> Dict[str, Array]:
    random = np.random.default_rng(5)
    return {site.name: random.integers(0, 256, site.size * site.bits // 8).astype(np.uint8) for site in sites}


def listed(drawn: Sequence[Faults]) -> List[Any]:
    return [(g.site, g.effect, g.elements.tolist(), g.operands.tolist()) for g in drawn]


def only(drawn: Sequence[Faults]) -> Faults:
    (group,) = drawn
    return group


def read(content: Array, drawn: Sequence[Faults], signed: bool = True) -> Array:
    """What the bytes of the only site read as."""
    result = content.copy()
    for group in drawn:
        result[group.elements] = apply(result[group.elements], group, signed)
    return result


def flipped(drawn: Sequence[Faults], size: int, bits: int = 8) -> NDArray[np.bool_]:
    """Which bits flip, lowest first; shape (size, bits)."""
    flips = np.zeros((size, bits), bool)
    for group in drawn:
        assert group.effect is Effect.FLIP
        words = group.operands.astype(np.int64)
        flips[group.elements] = words[:, None] >> np.arange(bits) & 1
    return flips


def deviation(statistic: float, degrees: int) -> float:
    """A chi-square as a standard normal (Wilson and Hilferty, 1931)."""
    spread = 2 / (9 * degrees)
    return ((statistic / degrees) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)


def fits(observed: Sequence[float], shares: Sequence[float]) -> bool:
    """Do counts come from a law?"""
    counts, expected = np.array(observed, float), np.array(shares, float) / np.sum(shares) * np.sum(observed)
    assert (expected >= 5).all()
    return abs(deviation(float(((counts - expected) ** 2 / expected).sum()), len(counts) - 1)) < FAR


def alike(one: Array, other: Array) -> bool:
    """Do two samples of small whole numbers come from one law? Rare numbers are joined."""
    size = int(max(one.max(), other.max())) + 1
    counts = np.stack([np.bincount(one, minlength=size), np.bincount(other, minlength=size)]).astype(float)
    rare = counts.sum(axis=0) < 20
    joined = np.concatenate([counts[:, ~rare], counts[:, rare].sum(axis=1, keepdims=True)], axis=1)
    joined = joined[:, joined.sum(axis=0) > 0]
    if joined.shape[1] == 1:
        return True
    expected = joined.sum(axis=1, keepdims=True) * joined.sum(axis=0) / joined.sum()
    return deviation(float(((joined - expected) ** 2 / expected).sum()), joined.shape[1] - 1) < FAR


def near(count: float, trials: int, p: float) -> bool:
    return abs(count - trials * p) < FAR * math.sqrt(trials * p * (1 - p))


# ------------------------------------------------------------------------------------------ dense oracles of weights


def flip_dense(model: Any, q: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    if model.per == "bit":
        masks = ((random.random((len(q), 8)) < model.p) << np.arange(8)).sum(axis=1)
    else:
        masks = (random.random(len(q)) < model.p) << random.integers(0, 8, len(q))
    return (q & 255) ^ masks


def stuck_dense(model: Any, q: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    masks = ((random.random((len(q), 8)) < model.p) << np.arange(8)).sum(axis=1)
    return (q & 255) & ~masks | masks * model.to


def random_dense(model: Any, q: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    return np.where(random.random(len(q)) < model.p, random.integers(0, 256, len(q)), q & 255)


def cells_dense(model: Any, q: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """adSAF; `q` holds no -128, whose magnitude the arrays cannot."""
    if model.variant == "memory":
        hit = random.random((len(q), 8)) < model.p
        ones = hit & (random.random((len(q), 8)) < model.sa1)
        return (q & 255) & ~(hit << np.arange(8)).sum(axis=1) | (ones << np.arange(8)).sum(axis=1)
    arrays = []
    for array in (np.maximum(q, 0), np.maximum(-q, 0)):
        if model.variant == "all":
            hit, one = random.random(len(q)) < model.p, random.random(len(q)) < model.sa1
            arrays.append(np.where(hit, np.where(one, np.abs(q).max(), 0), array))
        else:
            bits = array[:, None] >> np.arange(7) & 1
            e, s = random.random(bits.shape) < model.p, random.random(bits.shape) < model.sa1
            arrays.append((((s & e) | (bits.astype(bool) & ~e)) << np.arange(7)).sum(axis=1))
    return (arrays[0] - arrays[1]).clip(-127, 127) & 255


def noise_dense(model: Any, q: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    return (q + np.rint(random.normal(0, model.sigma * 127, len(q))).astype(np.int64)).clip(-128, 127) & 255


def drift_dense(model: Any, q: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    exponent = np.maximum(random.normal(model.nu, model.sd, len(q)), 0)
    return np.rint(q * model.t**-exponent).astype(np.int64) & 255


def burst_dense(model: Any, q: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    begins = random.random(8 * len(q)) < model.p
    bits = np.convolve(begins, np.ones(model.length, int))[: len(begins)] & 1
    return (q & 255) ^ (bits.reshape(-1, 8) << np.arange(8)).sum(axis=1)


Oracle = Callable[[Any, NDArray[np.int64], np.random.Generator], NDArray[np.int64]]


@pytest.mark.parametrize(
    ("text", "oracle"),
    [
        ("iBF(p=0.01)", flip_dense),
        ("iBF(p=0.3)", flip_dense),
        ("iBF(p=0.7)", flip_dense),
        ("iBF(p=0.05, per=value)", flip_dense),
        ("iBF(p=0.8, per=value)", flip_dense),
        ("stuck(p=0.02, to=0)", stuck_dense),
        ("stuck(p=0.55, to=1)", stuck_dense),
        ("random(p=0.2)", random_dense),
        ("random(p=1)", random_dense),
        ("adSAF(p=0.08)", cells_dense),
        ("adSAF(p=0.5, sa1=0.4)", cells_dense),
        ("adSAF(p=0.08, variant=bit)", cells_dense),
        ("adSAF(p=0.4, variant=bit, sa1=0.6)", cells_dense),
        ("adSAF(p=0.05, variant=memory)", cells_dense),
        ("adSAF(p=0.6, variant=memory, sa1=1)", cells_dense),
        ("gauss(sigma=0.02)", noise_dense),
        ("gauss(sigma=0.5)", noise_dense),
        ("drift(t=1000)", drift_dense),
        ("drift(t=86400, nu=0.1, sd=0.2)", drift_dense),
        ("burst(p=0.01, length=3)", burst_dense),
        ("burst(p=0.02, length=20)", burst_dense),
    ],
)
def test_weights_read_as_an_oracle_that_asks_every_cell_has_them(text: str, oracle: Oracle) -> None:
    each = 40_000
    kinds = np.array([0, 1, 42, 100, -1, -42, -100])
    q = np.tile(kinds, each)
    content = (q & 255).astype(np.uint8)
    site = flat(len(q))
    model = parse(text)
    drawn = draw_weights(plan(text), [site], {"w": content}, pattern=1)
    check(drawn, [site])
    ours = read(content, drawn)
    theirs = oracle(model, q, np.random.default_rng(6)).astype(np.uint8)
    for kind in kinds:
        assert alike(ours[q == kind], theirs[q == kind]), kind


def test_the_oracles_can_tell() -> None:
    """Six stuck cells in a hundred instead of eight, or another share of ones, are not alike."""
    q = np.tile(np.array([42, -42, 100]), 40_000)
    content = (q & 255).astype(np.uint8)
    ours = read(content, draw_weights(plan("adSAF(p=0.08)"), [flat(len(q))], {"w": content}, 1))
    for text in ("adSAF(p=0.06)", "adSAF(p=0.08, sa1=0.25)"):
        theirs = cells_dense(parse(text), q, np.random.default_rng(6)).astype(np.uint8)
        assert not alike(ours[q == 42], theirs[q == 42])


# --------------------------------------------------------------------------------------------------------- bit flips


@pytest.mark.parametrize("bits", [None, (0, 0), (4, 7), (7, 7), (2, 5)])
@pytest.mark.parametrize("p", [0.01, 0.6])
def test_each_bit_in_range_flips_with_probability_p(bits: Optional[Tuple[int, int]], p: float) -> None:
    size, (low, high) = 40_000, bits or (0, 7)
    flips = flipped(draw_weights(plan(f"iBF(p={p})", bits=bits), [flat(size)], {}, 2), size)
    for bit in range(8):
        assert near(flips[:, bit].sum(), size, p if low <= bit <= high else 0) or flips[:, bit].sum() == 0 != p
        assert flips[:, bit].any() == (low <= bit <= high)
    assert near(flips.sum(), size * (high - low + 1), p)


@pytest.mark.parametrize("bits", [None, (0, 0), (4, 6), (1, 7)])
@pytest.mark.parametrize("p", [0.05, 1.0])
def test_each_value_is_hit_with_probability_p_in_one_bit(bits: Optional[Tuple[int, int]], p: float) -> None:
    size, (low, high) = 40_000, bits or (0, 7)
    flips = flipped(draw_weights(plan(f"iBF(p={p}, per=value)", bits=bits), [flat(size)], {}, 2), size)
    assert flips.sum(axis=1).max() == 1
    assert near(flips.sum(), size, p) or flips.sum() == size * p
    counts = flips.sum(axis=0)
    assert not counts[:low].any()
    assert not counts[high + 1 :].any()
    if high > low:
        assert fits(counts[low : high + 1], [1] * (high - low + 1))


@pytest.mark.parametrize("per", ["bit", "value"])
@pytest.mark.parametrize("bits", [None, (31, 31), (23, 30)])
def test_floats_flip_in_any_of_32_bits(per: str, bits: Optional[Tuple[int, int]]) -> None:
    size, (low, high) = 20_000, bits or (0, 31)
    group = only(draw_weights(plan(f"iBF32(p=0.1, per={per})", bits=bits), [flat(size, 32)], {}, 2))
    assert group.operands.dtype == np.uint32
    flips = flipped([group], size, 32)
    assert near(flips.sum(), size * (high - low + 1 if per == "bit" else 1), 0.1)
    assert flips[:, low : high + 1].sum() == flips.sum()
    if high > low:
        assert fits(flips.sum(axis=0)[low : high + 1], [1] * (high - low + 1))
    if per == "value":
        assert flips.sum(axis=1).max() == 1


def test_an_exact_flip_follows_from_an_exact_cell() -> None:
    """Cells count from the lowest bit in range of the first value on; what a file says does not depend on the code."""
    p, name = 0.03, "w"
    for bits, width in ((None, 8), ((3, 5), 3)):
        cells = draw_hits(Stream(11, 9, name), 500 * width, p).tolist()
        masks: Dict[int, int] = {}
        for cell in cells:
            masks[cell // width] = masks.get(cell // width, 0) | 1 << (cell % width + (bits or (0, 0))[0])
        group = only(draw_weights(plan(f"iBF(p={p})", bits=bits), [flat(500)], {}, 9))
        assert list(zip(group.elements.tolist(), group.operands.tolist())) == list(masks.items())


@pytest.mark.parametrize("bits", [None, (7, 7), (2, 4)])
def test_an_upset_is_one_bit_of_all(bits: Optional[Tuple[int, int]]) -> None:
    sites = [flat(5, name="small"), flat(60, name="large"), flat(1, name="one"), flat(14, name="middle")]
    low, high = bits or (0, 7)
    counts, ends = np.zeros((80, 8), int), np.cumsum([0] + [site.size for site in sites])
    for pattern in range(5000):
        group = only(draw_weights(plan("SEU", bits=bits), sites, {}, pattern))
        begin = ends[[site.name for site in sites].index(group.site)]
        counts[begin + group.elements[0]] += flipped([group], 80)[group.elements[0]]
        assert hits([group]) == 1
    assert counts.sum() == 5000
    assert counts[:, low : high + 1].sum() == 5000
    assert fits(counts[:, low : high + 1].reshape(-1), [1] * (80 * (high - low + 1)))


def test_each_sample_has_an_upset_of_its_own() -> None:
    drawn = draw_features(plan("SEU", position=AFTER), MAPS, 0, range(500))
    check(drawn, MAPS, 500)
    sizes = {site.name: site.size for site in MAPS}
    samples = np.concatenate([group.elements // sizes[group.site] for group in drawn])
    assert sorted(samples.tolist()) == list(range(500))
    assert hits(drawn) == 500
    counts = [next((len(group) for group in drawn if group.site == site.name), 0) for site in MAPS]
    assert fits(counts, [site.size for site in MAPS])


# ------------------------------------------------------------------------------------------------------------- MiBB


@pytest.mark.parametrize(("macs", "p_m"), [(1, 0.1), (27, 1e-3), (4608, 1e-4), (4608, 3e-4), (9, 0.6), (576, 3e-6)])
@pytest.mark.parametrize("scale", list(Scale))
def test_a_value_is_hit_once_by_any_of_its_macs(macs: int, p_m: float, scale: Scale) -> None:
    site = Site("f", "CONV_2D", (50, 50, 8), 2, macs=macs)
    faults = only(draw_features(plan(f"MiBB(p_m={p_m})", scale=scale), [site], 1, range(5)))
    check([faults], [site], 5)
    assert faults.effect is Effect.ADD
    assert near(len(faults), 5 * site.size, 1 - (1 - p_m) ** macs)
    largest = 127 if scale is Scale.DEPLOYED else 128
    biases = [min(1 << a, largest) for a in range(8)] + [-(1 << a) for a in range(8)]
    counts = [int((faults.operands == bias).sum()) for bias in biases]
    assert sum(counts) == len(faults)
    if len(faults) > 100:
        assert fits(counts, [1] * 16)


def test_rates_that_the_public_code_distorts_are_right() -> None:
    """4,608 multiply-accumulates: 0.37 at p_m = 1e-4 and 0.75 at 3e-4, where its integer division has 0.50 and 1."""
    site = Site("f", "CONV_2D", (100, 100, 4), 2, macs=4608)
    for p_m, rate in ((1e-4, 0.3692), (3e-4, 0.7490)):
        count = len(only(draw_features(plan(f"MiBB(p_m={p_m})"), [site], 1, (0,))))
        assert count / site.size == pytest.approx(rate, abs=0.01)


def test_sites_of_a_row_are_hit_by_their_own_macs() -> None:
    drawn = draw_features(plan("MiBB(p_m=0.002)"), MAPS, 1, range(400))
    for group, site in zip(drawn, MAPS):
        assert group.site == site.name
        assert near(len(group), 400 * site.size, 1 - 0.998**site.macs)


# ------------------------------------------------------------------------------------------------------------ adSAF


def test_the_paper_s_rates_of_stuck_cells() -> None:
    """At 8 %: 6.64 % stuck at zero and 1.36 % at one, in each of the arrays."""
    size = 400_000
    for sign in (1, -1):
        weights = np.full(size, 50 * sign, np.int8)
        weights[0] = 100
        content = weights.view(np.uint8)
        ours = read(content, draw_weights(plan("adSAF(p=0.08)"), [flat(size)], {"w": content}, 3))
        values = ours.view(np.int8)[1:].astype(int) * sign
        sa0, sa1, p = 0.08 * 0.837, 0.08 * 0.163, 0.08
        law = {
            50: (1 - p) * (1 - sa1),
            0: sa0 * (1 - sa1) + sa1 * sa1,  # the second: both arrays stuck at one
            100: sa1 * (1 - sa1),
            -50: (1 - p) * sa1,
            -100: sa0 * sa1,
        }
        assert fits([int((values == value).sum()) for value in law], list(law.values()))
        assert set(values.tolist()) == set(law)


def test_nothing_is_said_of_cells_that_read_as_before() -> None:
    contents = random_contents(WEIGHTS)
    for variant in ("all", "bit"):
        for group in draw_weights(plan(f"adSAF(p=0.3, variant={variant})"), WEIGHTS, contents, 0):
            assert group.effect is Effect.SET
            assert (group.operands != contents[group.site][group.elements]).all()
    zeros = {"w": np.zeros(1000, np.uint8)}
    assert draw_weights(plan("adSAF(p=1)"), [flat(1000)], zeros, 0) == []  # the largest magnitude is none


def test_all_cells_stuck() -> None:
    q = np.array([3, -7, 0, 90, -90], np.int8)
    for text, wanted in (
        ("adSAF(p=1, sa1=0)", [0] * 5),
        ("adSAF(p=1, sa1=1)", [0] * 5),
        ("adSAF(p=1, sa1=1, variant=bit)", [0] * 5),
        ("adSAF(p=1, sa1=1, variant=memory)", [-1] * 5),
        ("adSAF(p=1, sa1=0, variant=memory)", [0] * 5),
        ("adSAF(p=0)", q.tolist()),
        ("adSAF(p=0, variant=bit)", q.tolist()),
        ("adSAF(p=0, variant=memory)", q.tolist()),
    ):
        drawn = draw_weights(plan(text), [flat(5)], {"w": q.view(np.uint8)}, 0)
        assert read(q.view(np.uint8), drawn).view(np.int8).tolist() == wanted


def test_minus_128_reads_as_a_magnitude_that_cells_have() -> None:
    q = np.full(5000, -128, np.int8)
    for variant in ("all", "bit"):
        drawn = draw_weights(plan(f"adSAF(p=0.2, variant={variant})"), [flat(5000)], {"w": q.view(np.uint8)}, 0)
        hit = np.isin(np.arange(5000), only(drawn).elements)
        values = read(q.view(np.uint8), drawn).view(np.int8)
        assert (values[~hit] == -128).all()
        assert values[hit].min() >= -127
        assert values.max() <= 127


# ------------------------------------------------------------------------------- noise, drift, whole values, channels


def test_noise_is_normal_and_knows_no_sign() -> None:
    site = flat(200_000)
    group = only(draw_weights(plan("gauss(sigma=0.03)"), [site], {}, 0))
    assert group.effect is Effect.ADD
    assert group.operands.all()
    steps = np.zeros(site.size)
    steps[group.elements] = group.operands
    sigma = 0.03 * 127
    assert abs(steps.mean()) < FAR * sigma / math.sqrt(site.size)
    assert steps.var() == pytest.approx(sigma**2 + 1 / 12, rel=FAR * math.sqrt(2 / site.size))
    largest = only(draw_weights(plan("gauss(sigma=1)"), [site], {}, 0))
    assert 400 < np.abs(largest.operands).max() <= 550
    assert draw_weights(plan("gauss(sigma=0)"), [site], {}, 0) == []


def test_drift_fades_with_time_and_keeps_signs() -> None:
    contents = random_contents(WEIGHTS)
    before = {name: content.view(np.int8).astype(int) for name, content in contents.items()}
    assert draw_weights(plan("drift(t=1)"), WEIGHTS, contents, 0) == []
    for t in (2, 30, 1e4, 1e9, 1e300):
        drawn = {group.site: group for group in draw_weights(plan(f"drift(t={t})"), WEIGHTS, contents, 0)}
        for name, old in before.items():
            new = read(contents[name], [drawn[name]] if name in drawn else []).view(np.int8).astype(int)
            assert (np.abs(new) <= np.abs(old)).all()
            assert (new * old >= 0).all()
            before[name] = new
            assert t < 1e300 or np.abs(new).max() <= np.abs(old).max()


@pytest.mark.parametrize("text", ["drift(t=1, nu=1e308, sd=1e308)", "drift(t=1.7e308, nu=1.7e308, sd=0)"])
def test_drift_has_no_numbers_too_large(text: str) -> None:
    contents = {"w": np.full(1000, 100, np.uint8)}
    drawn = draw_weights(plan(text), [flat(1000)], contents, 0)
    assert set(read(contents["w"], drawn).tolist()) == ({100} if "t=1," in text else {0})


def test_a_random_value_is_any_of_256() -> None:
    site = flat(100_000)
    group = only(draw_weights(plan("random(p=0.5)"), [site], {}, 0))
    assert near(len(group), site.size, 0.5)
    assert fits(np.bincount(group.operands, minlength=256).tolist(), [1] * 256)


def channel_of(site: Site, element: int) -> int:
    return int(np.unravel_index(element, site.shape)[site.channel_axis])


@pytest.mark.parametrize("site", [CONV, DEPTHWISE, DENSE, *MAPS], ids=lambda site: site.name)
@pytest.mark.parametrize("to", ["zero", "max", "random"])
def test_whole_channels_read_as_one_number(site: Site, to: str) -> None:
    batch = 1 if site in WEIGHTS else 50
    faults_of: Dict[int, Any] = {}
    numbers = []
    for pattern in range(200 // batch * 2):
        keywords: Dict[str, Any] = {} if site in WEIGHTS else {"position": AFTER}
        aimed = plan(f"channel(p=0.15, to={to})", **keywords)
        drawn = (
            draw_weights(aimed, [site], {}, pattern)
            if site in WEIGHTS
            else draw_features(aimed, [site], pattern, range(batch))
        )
        check(drawn, [site], batch)
        for group in drawn:
            assert group.effect is Effect.SET
            faults_of.clear()
            for element, operand in zip(group.elements.tolist(), group.operands.tolist()):
                key = (element // site.size, channel_of(site, element % site.size))
                faults_of.setdefault(key, []).append(operand)
            for operands in faults_of.values():
                assert len(operands) == site.size // site.channels
                assert len(set(operands)) == 1
                numbers.append(operands[0])
    trials = 200 // batch * 2 * batch * site.channels
    assert near(len(numbers), trials, 0.15)
    if to == "random":
        assert len(set(numbers)) > 100
        assert fits(np.bincount(np.array(numbers) // 32, minlength=8).tolist(), [1] * 8)
    else:
        assert set(numbers) == {site.zero & 255 if to == "zero" else 127}


def test_channels_of_unsigned_values_go_to_255_and_to_the_zero_point() -> None:
    site = Site("u", "CONV_2D", (4, 1, 1, 2), 0, zero=128, signed=False)
    assert set(only(draw_weights(plan("channel(p=1, to=max)"), [site], {}, 0)).operands.tolist()) == {255}
    assert set(only(draw_weights(plan("channel(p=1)"), [site], {}, 0)).operands.tolist()) == {128}


# ------------------------------------------------------------------------------------------------------------ bursts


@pytest.mark.parametrize(("p", "length"), [(0.02, 2), (0.01, 9), (0.05, 64), (0.6, 3), (1.0, 2)])
def test_bursts_are_runs_of_bits_and_undo_each_other(p: float, length: int) -> None:
    size = 300
    begins = draw_hits(Stream(11, 4, "w"), size * 8, p).tolist()
    bits = [0] * (8 * size)
    for begin in begins:
        for bit in range(begin, min(begin + length, len(bits))):
            bits[bit] ^= 1
    drawn = draw_weights(plan(f"burst(p={p}, length={length})"), [flat(size)], {}, 4)
    assert flipped(drawn, size).reshape(-1).tolist() == [bool(bit) for bit in bits]
    assert all(group.operands.all() for group in drawn)
    assert any(begin % 8 + length > 8 for begin in begins)  # some cross into the next value


def test_bursts_end_with_their_tensor_and_their_sample() -> None:
    sites = [Site("x", "CONV_2D", (1, 1, 2), 2), Site("y", "CONV_2D", (1, 1, 2), 2)]
    drawn = draw_features(plan("burst(p=0.02, length=64)", position=AFTER), sites, 0, range(300))
    check(drawn, sites, 300)
    wanted = {"x": np.zeros((300, 16), bool), "y": np.zeros((300, 16), bool)}
    for sample in range(300):
        for begin in draw_hits(Stream(11, 0, "\0features"), 32, 0.02, sample).tolist():
            wanted["xy"[begin // 16]][sample, begin % 16 :] ^= True
    for group in drawn:
        assert flipped([group], 600).reshape(300, 16).tolist() == wanted[group.site].tolist()
        assert (wanted[group.site].sum(axis=1) > 0).sum() == pytest.approx(300 * (1 - 0.98**16), abs=FAR * 9)


# -------------------------------------------------------------------------------------------------- protected, signed


@pytest.mark.parametrize("text", ["iBF(p=0.3)", "iBF(p=0.9, per=value)", "stuck(p=0.3, to=1)", "SEU"])
def test_protected_bits_are_never_hit_and_others_as_ever(text: str) -> None:
    masks = {"conv": 0b11000001, "dense": 255}
    for pattern in range(40 if text != "SEU" else 400):
        free = {g.site: g for g in draw_weights(plan(text), WEIGHTS, {}, pattern)}
        drawn = {g.site: g for g in draw_weights(plan(text, protected=masks), WEIGHTS, {}, pattern)}
        for name, group in free.items():
            kept = ~masks.get(name, 0) & 255
            bits = {e: o & kept for e, o in zip(group.elements.tolist(), group.operands.tolist())}
            if group.effect is Effect.STICK:
                both = zip(group.elements.tolist(), group.operands.tolist())
                bits = {e: o & (kept << 8 | kept) for e, o in both}
            wanted = {e: o for e, o in bits.items() if o}
            found = drawn.get(name)
            ours = {} if found is None else dict(zip(found.elements.tolist(), found.operands.tolist()))
            assert ours == wanted
        assert set(drawn) <= set(free) - {"dense"}


def test_protected_floats() -> None:
    kept = draw_weights(plan("iBF32(p=0.2)", protected={"float": 0xFF800000}), FLOATS, {}, 0)
    free = draw_weights(plan("iBF32(p=0.2)"), FLOATS, {}, 0)
    assert not (kept[0].operands & np.uint32(0xFF800000)).any()
    assert flipped(free[:1], 72, 32)[:, :23].tolist() == flipped(kept[:1], 72, 32)[:, :23].tolist()
    assert listed(kept[1:]) == listed(free[1:])


@pytest.mark.parametrize("text", ["adSAF(p=0.1)", "adSAF(p=0.1, variant=bit)", "gauss(sigma=0.1)", "drift(t=2)"])
def test_models_of_signed_numbers_refuse_others(text: str) -> None:
    site = Site("u", "CONV_2D", (4, 1, 1, 2), 0, zero=128, signed=False)
    with pytest.raises(UnsupportedModelError, match="needs signed values, those of 'u' are uint8"):
        draw_weights(plan(text), [CONV, site], random_contents([CONV, site]), 0)
    if text.startswith("gauss"):
        with pytest.raises(UnsupportedModelError, match="needs signed values"):
            draw_features(plan(text, position=AFTER), [site], 0, (0,))


@pytest.mark.parametrize("text", ["adSAF(p=0.5, variant=memory)", "iBF(p=0.5)", "stuck(p=0.5, to=0)", "random(p=0.5)"])
def test_models_of_bytes_take_either(text: str) -> None:
    site = Site("u", "CONV_2D", (40, 1, 1, 2), 0, zero=128, signed=False)
    assert len(only(draw_weights(plan(text), [site], random_contents([site]), 0))) > 20


# --------------------------------------------------------------------------------------------- the same whatever else


def features(text: str, samples: Sequence[int], **keywords: Any) -> List[Any]:
    """(site, sample, element, operand) of each fault, the sample by its number."""
    drawn = draw_features(plan(text, position=AFTER, **keywords), MAPS, 3, samples)
    check(drawn, MAPS, len(samples))
    found = []
    for group in drawn:
        size = next(site.size for site in MAPS if site.name == group.site)
        assert group.effect is effect_on_features(parse(text))
        for element, operand in zip(group.elements.tolist(), group.operands.tolist()):
            found.append((group.site, samples[element // size], element % size, operand))
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ON_MAPS),
    st.lists(st.integers(0, 1000) | st.integers(0, 2**64 - 1), min_size=1, max_size=9, unique=True),
    st.data(),
)
def test_a_sample_has_its_faults_in_any_batch(text: str, samples: List[int], data: st.DataObject) -> None:
    whole = sorted(features(text, samples))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=3)))
    shuffled = data.draw(st.permutations(samples))
    parts: List[Any] = []
    for begin, end in zip([0, *cuts], [*cuts, len(samples)]):
        parts += features(text, shuffled[begin:end])
    assert sorted(parts) == whole


@pytest.mark.parametrize("text", ON_MAPS)
def test_blocks_of_samples_change_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = features(text, range(40))
    monkeypatch.setattr(sampling, "_BLOCK_ROWS", 16)
    monkeypatch.setattr(sampling, "_MAX_ROWS", 6)
    assert features(text, range(40)) == whole
    assert len(whole) >= 40


@pytest.mark.parametrize("text", ON_MAPS)
def test_permanent_faults_are_the_same_in_every_sample(text: str) -> None:
    for lifetime in (Lifetime.PERMANENT, Lifetime.INTERMITTENT):
        one = [(site, element, operand) for site, _, element, operand in features(text, [0], lifetime=lifetime)]
        many = features(text, [5, 0, 2**64 - 1], lifetime=lifetime)
        for sample in (5, 0, 2**64 - 1):
            assert [(site, e, o) for site, s, e, o in many if s == sample] == one
    assert one or text == "SEU"


@pytest.mark.parametrize("text", ON_MAPS)
@pytest.mark.parametrize("lifetime", list(Lifetime))
def test_an_empty_batch_has_no_faults(text: str, lifetime: Lifetime) -> None:
    assert draw_features(plan(text, position=AFTER, lifetime=lifetime), MAPS, 0, []) == []


@pytest.mark.parametrize("text", ON_MAPS)
def test_transient_faults_differ_from_sample_to_sample(text: str) -> None:
    found = features(text, range(30))
    by_sample = {tuple((site, e, o) for site, s, e, o in found if s == sample) for sample in range(30)}
    assert len(by_sample) > 20


@pytest.mark.parametrize("text", [text for text in ON_WEIGHTS if text != "SEU"])
def test_aiming_at_fewer_weights_leaves_the_faults_of_the_others(text: str) -> None:
    contents = random_contents(WEIGHTS)
    whole = draw_weights(plan(text), WEIGHTS, contents, 8)
    assert [group.site for group in whole] == ["conv", "dw", "dense"]
    alone = [draw_weights(plan(text), [site], contents, 8) for site in (DENSE, CONV, DEPTHWISE)]
    assert listed(alone[1] + alone[2] + alone[0]) == listed(whole)


@pytest.mark.parametrize("text", ON_WEIGHTS)
def test_seed_pattern_and_sample_tell_faults_apart_and_contents_stay(text: str) -> None:
    contents = random_contents(WEIGHTS)
    kept = {name: content.copy() for name, content in contents.items()}
    marks = [
        digest(draw_weights(plan(text, seed=seed), WEIGHTS, contents, pattern, sample))
        for seed, pattern, sample in ((1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (1, 1, 1))
    ]
    assert len(set(marks)) == 4
    assert marks[0] == marks[4]
    assert all(np.array_equal(contents[name], kept[name]) for name in kept)


@pytest.mark.parametrize("text", ON_WEIGHTS)
def test_drawn_faults_lie_in_their_sites(text: str) -> None:
    contents = random_contents(WEIGHTS)
    for pattern in range(10):
        drawn = draw_weights(plan(text), WEIGHTS, contents, pattern)
        check(drawn, WEIGHTS)
        assert all(len(group) for group in drawn)


def test_large_batches_of_large_maps_count_in_64_bits() -> None:
    sites = [Site("big", "CONV_2D", (1 << 10, 1 << 10, 1 << 10), 2), Site("small", "CONV_2D", (2, 2, 1), 2)]
    drawn = draw_features(plan("iBF(p=1e-9, per=value)", position=AFTER), sites, 0, range(5))
    check(drawn, sites, 5)
    elements = drawn[0].elements
    assert elements.dtype == np.int64
    assert len(set((elements >> 30).tolist())) >= 3
    for sample in range(5):
        alone = draw_features(plan("iBF(p=1e-9, per=value)", position=AFTER), sites, 0, (sample,))
        mine = [group.elements.tolist() for group in alone if group.site == "big"] or [[]]
        assert elements[elements >> 30 == sample].tolist() == [e + (sample << 30) for e in mine[0]]


# -------------------------------------------------------------------------------------------------------- intermittent


def test_intermittent_faults_show_in_their_share_of_the_inferences() -> None:
    samples = list(range(20_000))
    for duty in (0.0, 0.1, 0.75, 1.0):
        aimed = plan("iBF(p=0.1)", position=AFTER, lifetime=Lifetime.INTERMITTENT, duty=duty)
        shown = showing(aimed, 0, samples)
        assert near(shown.sum(), len(samples), duty) or shown.sum() == duty * len(samples)
        assert np.array_equal(showing(aimed, 0, samples[::-1]), shown[::-1])
        assert np.array_equal(showing(aimed, 0, samples[70:90]), shown[70:90])


def test_when_faults_show_depends_on_seed_and_pattern_alone() -> None:
    aimed = plan("iBF(p=0.1)", position=AFTER, lifetime=Lifetime.INTERMITTENT, duty=0.5)
    shown = showing(aimed, 1, range(24))
    assert "".join("01"[int(flag)] for flag in shown) == "010010000111110100001101"
    assert not np.array_equal(showing(aimed, 2, range(24)), shown)
    other = plan("iBF(p=0.1)", position=AFTER, lifetime=Lifetime.INTERMITTENT, duty=0.5, seed=12)
    assert not np.array_equal(showing(other, 1, range(24)), shown)
    weaker = plan("iBF(p=0.2)", position=AFTER, lifetime=Lifetime.INTERMITTENT, duty=0.25)
    assert (showing(weaker, 1, range(24)) <= shown).all()


@pytest.mark.parametrize("lifetime", [Lifetime.TRANSIENT, Lifetime.PERMANENT])
def test_other_faults_show_always(lifetime: Lifetime) -> None:
    aimed = plan("iBF(p=0.1)", position=AFTER, lifetime=lifetime, duty=0.1)
    assert showing(aimed, 0, range(50)).tolist() == [True] * 50


# -------------------------------------------------------------------------------------------------------------- golden

GOLDEN_WEIGHTS = {
    "iBF(p=0.02)": "320f9c3ae8cae8eb",
    "iBF(p=0.05, per=value)": "506544411de52a6d",
    "SEU": "f561d67370f4660e",
    "adSAF(p=0.08)": "771237f941787a1e",
    "adSAF(p=0.08, variant=bit)": "8641fc6d0e7301b3",
    "adSAF(p=0.02, variant=memory)": "ba74d004f3e3821f",
    "stuck(p=0.02, to=1)": "b3b77119c0d72573",
    "random(p=0.1)": "257396ba3d47640e",
    "gauss(sigma=0.02)": "154e0991f5a4966c",
    "drift(t=1000)": "d079d6aec5e9df12",
    "channel(p=0.2, to=random)": "91edcbf0d85323c7",
    "burst(p=0.01, length=5)": "792c2a673739831e",
    "iBF32(p=0.01)": "58112493a7cc01dd",
    "iBF32(p=0.1, per=value)": "c1b07e1de20cd113",
}
GOLDEN_MAPS = {
    "iBF(p=0.01)": "d664e57f199e05cb",
    "iBF(p=0.6)": "a90965714346106f",
    "iBF(p=0.05, per=value)": "d64d1052578a0d62",
    "SEU": "7b3587fcba3021cd",
    "MiBB(p_m=0.002)": "7d560aaa4b007a73",
    "stuck(p=0.02, to=0)": "a6f4d84cb1e62224",
    "random(p=0.05)": "5634169030278be4",
    "gauss(sigma=0.01)": "a4dd711de08852ba",
    "channel(p=0.1)": "76321904a65f79e0",
    "channel(p=0.1, to=random)": "5630dfed82e40e88",
    "burst(p=0.003, length=11)": "223bc8f428f3099d",
}


def golden_weights(text: str) -> str:
    sites = FLOATS if text.startswith("iBF32") else WEIGHTS
    contents = {site.name: (np.arange(site.size * site.bits // 8) * 37 % 256).astype(np.uint8) for site in sites}
    return digest(draw_weights(FaultPlan(parse(text), seed=2), sites, contents, 5))


def golden_maps(text: str) -> str:
    return digest(draw_features(FaultPlan(parse(text), AFTER, seed=2), MAPS, 5, (0, 3, 2**40)))


@pytest.mark.parametrize("text", [*ON_WEIGHTS, "iBF32(p=0.01)", "iBF32(p=0.1, per=value)"])
def test_patterns_of_weights_are_the_same_on_every_machine(text: str) -> None:
    assert golden_weights(text) == GOLDEN_WEIGHTS[text]


@pytest.mark.parametrize("text", ON_MAPS)
def test_patterns_of_maps_are_the_same_on_every_machine(text: str) -> None:
    assert golden_maps(text) == GOLDEN_MAPS[text]


def test_every_model_is_drawn_here() -> None:
    assert {type(parse(text)) for text in [*ON_WEIGHTS, *ON_MAPS]} | {m.FloatBitFlips} == set(MODELS.values())
