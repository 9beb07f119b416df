"""Files of faults: they say exactly what happened, and no damage to them goes unseen."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from typing import Any, Callable, Dict, List

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fault_injection import replay
from fault_injection.drawing import draw_features, draw_weights
from fault_injection.errors import FaultError, NoSuchTargetError
from fault_injection.models import FloatBitFlips, parse
from fault_injection.plan import FaultPlan, Position
from fault_injection.replay import FaultRecord
from fault_injection.space import Effect, Faults, Site, check, digest
from tests.fault_injection.test_drawing import FLOATS, MAPS, ON_MAPS, ON_WEIGHTS, WEIGHTS, random_contents
from tests.fault_injection.test_plan import plans

TYPES = {Effect.FLIP: np.uint8, Effect.SET: np.uint8, Effect.STICK: np.uint16, Effect.ADD: np.int16}


def listed(record: FaultRecord) -> Any:
    """All that a record says."""
    patterns = {
        number: [(g.site, g.effect, g.elements.tolist(), g.operands.tolist()) for g in drawn]
        for number, drawn in record.patterns.items()
    }
    return record.plan, record.model_digest, record.sites, record.samples, patterns


def of_weights(text: str, patterns: int = 3) -> FaultRecord:
    plan = FaultPlan(parse(text), seed=4)
    sites = FLOATS if isinstance(plan.model, FloatBitFlips) else WEIGHTS
    contents = random_contents(sites)
    drawn = {number: draw_weights(plan, sites, contents, number) for number in range(patterns)}
    return FaultRecord(plan, "5f" * 32, tuple(sites), 0, drawn)


def of_maps(text: str) -> FaultRecord:
    plan = FaultPlan(parse(text), Position.AFTER_ACTIVATION, seed=4)
    drawn = {number: draw_features(plan, MAPS, number, range(5)) for number in (0, 7, 2**64 - 1)}
    return FaultRecord(plan, "a network", tuple(MAPS), 5, drawn)


RECORDS = [of_weights(text) for text in [*ON_WEIGHTS, "iBF32(p=0.05)"]] + [of_maps(text) for text in ON_MAPS]
SMALL = FaultRecord(
    FaultPlan(parse("iBF(p=0.01)"), seed=4),
    "net",
    (WEIGHTS[0], WEIGHTS[2]),
    0,
    {
        3: [Faults("dense", Effect.FLIP, np.array([0, 7, 159]), np.array([1, 128, 7], np.uint8))],
        4: [],
        9: [
            Faults("conv", Effect.FLIP, np.array([5, 287]), np.array([2, 2], np.uint8)),
            Faults("dense", Effect.FLIP, np.array([4]), np.array([64], np.uint8)),
        ],
    },
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: f"{r.plan.model}-{r.plan.place.value}")
def test_a_record_of_any_model_comes_back(record: FaultRecord) -> None:
    content = record.to_bytes()
    again = FaultRecord.from_bytes(content)
    assert listed(again) == listed(record)
    assert again.to_bytes() == content
    for number, drawn in record.patterns.items():
        assert digest(again.patterns[number]) == digest(drawn)
        types = [(group.operands.dtype, group.elements.dtype) for group in again.patterns[number]]
        assert types == [(group.operands.dtype, np.dtype(np.int64)) for group in drawn]


@st.composite
def records(draw: st.DrawFn) -> FaultRecord:
    plan = draw(plans())
    bits, samples = plan.model.dtype_bits, draw(st.integers(0, 3))
    names = draw(st.lists(st.text(max_size=4), min_size=1, max_size=3, unique=True))
    sites = []
    for name in names:
        shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
        axis, zero = draw(st.integers(0, len(shape) - 1)), draw(st.integers(-128, 255))
        sites.append(
            Site(name, draw(st.text(max_size=3)), shape, axis, draw(st.integers(0, 9)), bits, zero, draw(st.booleans()))
        )
    patterns: Dict[int, List[Faults]] = {}
    for number in draw(st.lists(st.integers(0, 2**64 - 1), max_size=3, unique=True)):
        patterns[number] = []
        for site in sites:
            effect = Effect.FLIP if bits == 32 else draw(st.sampled_from(Effect))
            word = np.dtype(np.uint32 if bits == 32 else TYPES[effect])
            limits = np.iinfo(word)
            elements = st.integers(0, site.size * max(1, samples) - 1)
            pairs = sorted(
                draw(st.dictionaries(elements, st.integers(int(limits.min), int(limits.max)), max_size=6)).items()
            )
            group = Faults(
                site.name, effect, np.array([e for e, _ in pairs], np.int64), np.array([o for _, o in pairs], word)
            )
            patterns[number].append(group)
    return FaultRecord(plan, draw(st.text(max_size=5)), tuple(sites), samples, patterns)


@settings(max_examples=60, deadline=None)
@given(records())
def test_a_record_of_anything_comes_back(record: FaultRecord) -> None:
    assert listed(FaultRecord.from_bytes(record.to_bytes())) == listed(record)


def test_a_record_without_faults_comes_back() -> None:
    for patterns in ({}, {0: []}):  # type: Dict[int, List[Faults]]
        record = FaultRecord(SMALL.plan, "", (), 0, patterns)
        assert listed(FaultRecord.from_bytes(record.to_bytes())) == listed(record)


def test_names_that_are_no_text_come_back() -> None:
    site = Site("größe/\udc80\0", "CONV_2D", (1, 1, 1, 1), 0)
    group = Faults(site.name, Effect.FLIP, np.array([0]), np.array([1], np.uint8))
    record = FaultRecord(SMALL.plan, "", (site,), 0, {0: [group]})
    assert listed(FaultRecord.from_bytes(record.to_bytes())) == listed(record)


def test_faults_are_written_in_few_bytes() -> None:
    site = Site("w", "CONV_2D", (1000, 10, 10, 10), 0)
    plan = FaultPlan(parse("iBF(p=0.01)"))
    record = FaultRecord(plan, "", (site,), 0, {0: draw_weights(plan, [site], {}, 0)})
    faults = sum(map(len, record.patterns[0]))
    assert faults > 70_000
    assert len(record.to_bytes()) < 2.5 * faults


# ------------------------------------------------------------------------------------------------------------ damage

CONTENT = SMALL.to_bytes()
WHOLE = listed(SMALL)


def refused_or_same(content: bytes) -> None:
    with contextlib.suppress(FaultError):
        assert listed(FaultRecord.from_bytes(content)) == WHOLE


def test_any_truncated_file_is_refused() -> None:
    for length in range(len(CONTENT)):
        with pytest.raises(FaultError):
            FaultRecord.from_bytes(CONTENT[:length])


def test_no_flipped_bit_changes_what_a_file_says() -> None:
    """Some bytes of an archive mean nothing, such as a time; but then nothing changes."""
    for place in range(len(CONTENT)):
        damaged = bytearray(CONTENT)
        damaged[place] ^= 1 << place % 8
        refused_or_same(bytes(damaged))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.binary(min_size=1, max_size=12), st.booleans())
def test_no_changed_bytes_change_what_a_file_says(place: int, junk: bytes, instead: bool) -> None:
    refused_or_same(CONTENT[:place] + junk + CONTENT[place + (len(junk) if instead else 0) :])


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b"")
@example(b"PK\x03\x04")
@example(b"PK\x05\x06" + bytes(18))
@example(b"\x93NUMPY\x01\x00")
@example(b"\x80\x04K\x01.")
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    with pytest.raises(FaultError, match="not a file of faults, or a damaged one"):
        FaultRecord.from_bytes(content)


def test_what_is_wrong_is_said_in_one_line() -> None:
    header = "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }".ljust(20_000) + "\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(8)
    with pytest.raises(FaultError, match="Header info length") as caught:
        FaultRecord.from_bytes(zipped({"header": array}))
    assert "\n" not in str(caught.value)


def test_an_array_alone_is_refused() -> None:
    file = io.BytesIO()
    np.save(file, np.arange(3))
    with pytest.raises(FaultError, match="not a file of faults"):
        FaultRecord.from_bytes(file.getvalue())


Parts = Dict[str, NDArray[Any]]


def parts_of(content: bytes) -> Parts:
    with np.load(io.BytesIO(content)) as archive:
        return {name: archive[name] for name in archive.files}


def written(parts: Parts, **options: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **parts, **options)
    return file.getvalue()


def header_of(parts: Parts) -> Any:
    return json.loads(parts["header"].tobytes())


def with_header(change: Callable[[Any], Any]) -> bytes:
    parts = parts_of(CONTENT)
    document = header_of(parts)
    changed = change(document)
    text = json.dumps(document if changed is None else changed)
    parts["header"] = np.frombuffer(text.encode(), np.uint8)
    return written(parts)


def test_the_file_as_it_is_documented_can_be_written_by_others() -> None:
    assert listed(FaultRecord.from_bytes(written(parts_of(CONTENT)))) == WHOLE


SITE = ["conv", "CONV_2D", [8, 3, 3, 4], 0, 1, 8, 0, True]
DENSE = ["dense", "FULLY_CONNECTED", [10, 16], 0, 1, 8, 0, True]


def site_with(index: int, value: Any) -> List[Any]:
    return [value if place == index else old for place, old in enumerate(SITE)]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: [],
        lambda d: "header",
        lambda d: d.pop("plan") and None,
        lambda d: d.pop("format") and None,
        lambda d: d.update(format="gauntlet faults 99"),
        lambda d: d.update(samples="many"),
        lambda d: d.update(samples=float("inf")),
        lambda d: d.update(samples=-1),
        lambda d: d.update(plan={}),
        lambda d: d["plan"].update(model="iBF(p=7)"),
        lambda d: d["plan"].update(seed=float("inf")),
        lambda d: d.update(sites=None),
        lambda d: d.update(sites=[]),
        lambda d: d.update(sites=[SITE]),  # one of two that are hit
        lambda d: d.update(sites=[SITE, SITE]),  # large enough for all of them
        lambda d: d.update(sites=[SITE[:5], DENSE]),
        *(
            lambda d, i=i, v=v: d.update(sites=[site_with(i, v), DENSE])
            for i, v in [
                (0, 5),
                (0, ["conv"]),
                (1, None),
                (2, 288),
                (2, [8, 3, 3, -4]),
                (2, [8, 3, 3, 4.0]),
                (2, [-8, 3, -3, 4]),
                (2, [7, 3, 3, 4]),  # 252 values; 287 is hit
                (2, []),
                (3, 4),
                (3, -1),
                (3, "0"),
                (4, -1),
                (5, 16),
                (5, True),
                (6, 0.5),
                (7, 1),
            ]
        ),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(change: Callable[[Any], Any]) -> None:
    with pytest.raises(FaultError):
        FaultRecord.from_bytes(with_header(change))


def test_a_header_nested_without_end_is_refused() -> None:
    parts = parts_of(CONTENT)
    parts["header"] = np.frombuffer(b"[" * 200_000, np.uint8)
    with pytest.raises(FaultError):
        FaultRecord.from_bytes(written(parts))


def replaced(name: str, values: Any, dtype: Any = np.int64) -> Callable[[Parts], None]:
    return lambda parts: parts.update({name: np.array(values, dtype)})


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: parts.pop("steps"),
        lambda parts: parts.pop("header"),
        replaced("numbers", [3, 4]),  # a group of pattern 9
        replaced("numbers", [[3, 4, 9]]),
        replaced("numbers", [3.0, 4.0, 9.0], float),
        replaced("pattern", [3, 9]),
        replaced("pattern", [3, 9, 10]),
        replaced("site", [1, 0, 2]),
        replaced("site", [-1, 0, 1]),  # the last, in Python
        replaced("effect", [0, 0, 4]),
        replaced("effect", [0, 0, 0.5], float),
        replaced("count", [3, 2, 2]),
        replaced("count", [3, 2, 0]),
        replaced("count", [3, -2, 5]),
        replaced("count", [2**62, 2**62, 2**62]),
        replaced("count", [[3, 2, 1]]),
        replaced("steps", [0, 7, 152, 5, 282]),
        replaced("steps", [0, 7, 153, 5, 282, 4]),  # element 160 of 160
        replaced("steps", [0, 7, 152, 5, 283, 4]),
        replaced("steps", [-1, 7, 152, 5, 282, 4]),
        replaced("steps", [0, 0, 152, 5, 282, 4]),  # hit twice
        replaced("steps", [7, -7, 152, 5, 282, 4]),  # not in order
        replaced("steps", [0, 2**63, 2**63, 5, 282, 4], np.uint64),
        replaced("steps", [0, 7, 152, 5, 2**62, 4]),
        replaced("steps", [0, 7, 152, 5, 282.5, 4], float),
        replaced("steps", [float("nan")] * 6, float),
        replaced("steps", [0, 7, 152, 5, 282, 4], complex),
        replaced("steps", ["0", "7", "152", "5", "282", "4"], str),
        replaced("steps", [0, 7, 152, 5, 282, 4], "M8[s]"),
        replaced("operands", [1, 128, 256, 2, 2, 64]),
        replaced("operands", [1, 128, -1, 2, 2, 64]),
        replaced("operands", [1, 128, 7, 2, 2]),
        replaced("operands", [True] * 6, bool),
        replaced("header", [1, 2, 3], np.uint8),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(change: Callable[[Parts], Any]) -> None:
    parts = parts_of(CONTENT)
    change(parts)
    with pytest.raises(FaultError):
        FaultRecord.from_bytes(written(parts))


def test_operands_have_the_range_of_their_effect() -> None:
    for effect, low, high in ((Effect.SET, 0, 255), (Effect.STICK, 0, 65535), (Effect.ADD, -32768, 32767)):
        for operand, fine in ((low, True), (high, True), (low - 1, False), (high + 1, False)):
            parts = parts_of(CONTENT)
            parts["effect"] = np.array([effect] * 3)
            parts["operands"] = np.array([operand, 0, 0, 0, 0, 0])
            if fine:
                assert FaultRecord.from_bytes(written(parts)).patterns[3][0].operands[0] == operand
            else:
                with pytest.raises(FaultError, match="an operand is too large"):
                    FaultRecord.from_bytes(written(parts))


class _Trap:
    """Unpickled, it makes the test fail."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize("name", ["header", "numbers", "steps", "count", "one more"])
def test_pickles_are_not_opened(name: str) -> None:
    parts = parts_of(CONTENT)
    parts[name] = np.array([_Trap()], object)
    content = written(parts)
    if name == "one more":
        assert listed(FaultRecord.from_bytes(content)) == WHOLE
    else:
        with pytest.raises(FaultError):
            FaultRecord.from_bytes(content)


def zipped(members: Dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = parts_of(CONTENT)
    parts["steps"] = np.zeros(3_000_000, np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, **parts)
    assert len(file.getvalue()) < 10_000
    monkeypatch.setattr(replay, "_MOST_BYTES", 1_000_000)
    with pytest.raises(FaultError, match="bytes unpacked; 1000000 are allowed"):
        FaultRecord.from_bytes(file.getvalue())
    monkeypatch.setattr(replay, "_MOST_BYTES", len(CONTENT) * 10)
    assert listed(FaultRecord.from_bytes(CONTENT)) == WHOLE


@pytest.mark.parametrize(
    "shape", ["(4611686018427387904,)", "(1099511627776,)", "(-1,)", "(2, 2)", "1", "()", "(", "{"]
)
def test_arrays_that_claim_impossible_shapes_are_refused(shape: str) -> None:
    members = {}
    for name, array in parts_of(CONTENT).items():
        file = io.BytesIO()
        np.save(file, array)
        members[name] = file.getvalue()
    text = ("{'descr': '<i8', 'fortran_order': False, 'shape': " + shape + ", }").ljust(117) + "\n"
    members["steps"] = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(48)
    with pytest.raises(FaultError):
        FaultRecord.from_bytes(zipped(members))


def test_faults_outside_of_their_sites_are_refused_when_read() -> None:
    group = Faults("dense", Effect.FLIP, np.array([160]), np.array([1], np.uint8))
    record = FaultRecord(SMALL.plan, "", SMALL.sites, 0, {0: [group]})
    with pytest.raises(NoSuchTargetError, match="outside of 'dense', which holds 160 values"):
        FaultRecord.from_bytes(record.to_bytes())
    wide = FaultRecord(SMALL.plan, "", SMALL.sites, 2, {0: [group]})
    assert listed(FaultRecord.from_bytes(wide.to_bytes())) == listed(wide)
    check(wide.patterns[0], wide.sites, 2)
