"""Weights found in a file, hit, and mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Optional, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fault_injection.drawing import draw_weights
from fault_injection.errors import FaultError, NoSuchTargetError, UnsupportedModelError
from fault_injection.models import parse
from fault_injection.plan import FaultPlan
from fault_injection.space import Effect, Faults, Site, hits
from fault_injection.tflite import MalformedModelError, Model, read_model, write_model
from fault_injection.tflite import schema as s
from fault_injection.tflite.weights import WeightTensor, contents, find_weights, inject

B, T = s.BuiltinOperator, s.TensorType


def small_model(weight_type: int = T.INT8, dense_type: Optional[int] = None) -> Model:
    """conv → depthwise → fully connected, which uses its weights twice; a bias, a shape, two tensors of one name."""
    random = np.random.default_rng(0)
    buffers = [s.Buffer()]
    tensors: List[s.Tensor] = []

    def tensor(name: str, kind: int, shape: Sequence[int], constant: bool = True) -> int:
        size = int(np.prod(shape)) * (4 if kind in (T.FLOAT32, T.INT32) else 1)
        if constant:
            buffers.append(s.Buffer(data=random.integers(0, 256, size).astype(np.uint8)))
        buffer = len(buffers) - 1 if constant else 0
        zero_point = np.full(shape[0], 128 if kind == T.UINT8 else 0, np.int64)
        quantization = s.Quantization(scale=np.ones(shape[0], np.float32), zero_point=zero_point)
        tensors.append(s.Tensor(shape=list(shape), type=kind, name=name, buffer=buffer, quantization=quantization))
        return len(tensors) - 1

    x = [tensor(f"x{i}", T.INT8, (1, 4, 4, 3), constant=False) for i in range(5)]
    conv = tensor("block/conv", weight_type, (8, 3, 3, 3))
    bias = tensor("block/bias", T.INT32, (8,))
    depthwise = tensor("same", weight_type, (1, 3, 3, 8))
    dense = tensor("same", weight_type if dense_type is None else dense_type, (10, 8))
    shape = tensor("shape", T.INT32, (2,))
    operators = [
        s.Operator(opcode_index=0, inputs=[x[0], conv, bias], outputs=[x[1]], builtin_options=s.Conv2DOptions()),
        s.Operator(opcode_index=1, inputs=[x[1], depthwise, -1], outputs=[x[2]]),
        s.Operator(opcode_index=2, inputs=[x[2], shape], outputs=[x[3]]),
        s.Operator(opcode_index=3, inputs=[x[3], dense], outputs=[x[4]]),
        s.Operator(opcode_index=3, inputs=[x[4], dense], outputs=[x[0]]),
    ]
    codes = (B.CONV_2D, B.DEPTHWISE_CONV_2D, B.RESHAPE, B.FULLY_CONNECTED)
    return s.Model(
        version=3,
        operator_codes=[s.OperatorCode(deprecated_builtin_code=code, builtin_code=code) for code in codes],
        subgraphs=[s.SubGraph(tensors=tensors, inputs=[x[0]], outputs=[x[4]], operators=operators)],
        buffers=buffers,
    )


SMALL = write_model(small_model())
WEIGHTS = find_weights(SMALL)
SITES = [weight.site for weight in WEIGHTS]


def stored(data: bytes, weight: WeightTensor) -> bytes:
    return data[weight.offset : weight.offset + weight.size_bytes]


# --------------------------------------------------------------------------------------------------------------- found


def test_weights_are_found_and_nothing_else() -> None:
    assert [
        Site("block/conv", "CONV_2D", (8, 3, 3, 3), 0),
        Site("same#0.7", "DEPTHWISE_CONV_2D", (1, 3, 3, 8), 3),
        Site("same#0.8", "FULLY_CONNECTED", (10, 8), 0),
    ] == SITES
    assert [site.channels for site in SITES] == [8, 8, 10]
    assert [weight.size_bytes for weight in WEIGHTS] == [216, 72, 80]
    model = read_model(SMALL)
    for weight, number in zip(WEIGHTS, (5, 7, 8)):
        content = model.buffers[model.subgraphs[0].tensors[number].buffer].data
        assert content is not None
        assert stored(SMALL, weight) == content.tobytes() == contents(SMALL, WEIGHTS)[weight.name].tobytes()


def test_unsigned_weights_have_a_zero_point() -> None:
    sites = [weight.site for weight in find_weights(write_model(small_model(T.UINT8)))]
    assert [(site.bits, site.zero, site.signed) for site in sites] == [(8, 128, False)] * 3


def test_weights_without_quantisation_count_from_zero() -> None:
    model = small_model()
    model.subgraphs[0].tensors[5].quantization = None
    assert find_weights(write_model(model))[0].site == SITES[0]


def test_floats_are_found_as_values_of_32_bits() -> None:
    data = write_model(small_model(T.FLOAT32))
    weights = find_weights(data)
    assert [(w.name, w.site.bits, w.size_bytes) for w in weights] == [
        ("block/conv", 32, 864),
        ("same#0.7", 32, 288),
        ("same#0.8", 32, 320),
    ]
    assert [content.nbytes for content in contents(data, weights).values()] == [864, 288, 320]


def test_a_model_may_have_both() -> None:
    weights = find_weights(write_model(small_model(dense_type=T.FLOAT32)))
    assert [weight.site.bits for weight in weights] == [8, 8, 32]
    sites = [weight.site for weight in weights]
    assert [site.name for site in FaultPlan(parse("SEU")).select(sites)] == ["block/conv", "same#0.7"]
    assert [site.name for site in FaultPlan(parse("iBF32(p=0.1)")).select(sites)] == ["same#0.8"]
    others = find_weights(write_model(small_model(dense_type=T.INT32)))
    assert [weight.name for weight in others] == ["block/conv", "same#0.7"]


@pytest.mark.parametrize(
    ("name", "count", "bits"),
    [
        ("pretrainedResnet_quant", 10, 8),
        ("coral_mobilenet_v1_0.25_128_quant", 28, 8),
        ("kws_ref_model", 10, 8),
        ("ad01_int8", 10, 8),
        ("pretrainedResnet", 10, 32),
        ("vww_96_float", 28, 32),
    ],
)
def test_weights_of_real_models_lie_where_they_are_said_to(models: Path, name: str, count: int, bits: int) -> None:
    data = (models / f"{name}.tflite").read_bytes()
    weights = find_weights(data)
    assert len(weights) == count
    assert {weight.site.bits for weight in weights} == {bits}
    model = read_model(data)
    by_name = {tensor.name: tensor for tensor in model.subgraphs[0].tensors}
    for weight in weights:
        tensor = by_name[weight.name]
        content = model.buffers[tensor.buffer].data
        assert content is not None
        assert stored(data, weight) == content.tobytes()
        assert weight.site.shape == tuple(tensor.shape or ())
        # Scales of each channel tell how many channels there are.
        scales = tensor.quantization.scale if tensor.quantization is not None else None
        assert scales is None or len(scales) in (0, 1, weight.site.channels)


# ------------------------------------------------------------------------------------------------------------- refused


def test_a_model_of_other_weights_is_refused() -> None:
    for kind, name in ((T.INT32, "int32"), (T.FLOAT16, "float16"), (T.INT16, "int16")):
        with pytest.raises(UnsupportedModelError, match=f"those of this model are {name}: export it as int8"):
            find_weights(write_model(small_model(kind)))


def test_a_model_without_weights_says_so() -> None:
    model = small_model()
    model.subgraphs[0].operators = [model.subgraphs[0].operators[2]]
    with pytest.raises(UnsupportedModelError, match="no weights"):
        find_weights(write_model(model))


@pytest.mark.parametrize("shape", [[8, 3, 3, 4], [], [0, 3, 3, 3]])
def test_weights_that_are_not_one_byte_each_are_refused(shape: List[int]) -> None:
    model = small_model()
    model.subgraphs[0].tensors[5].shape = shape
    with pytest.raises(UnsupportedModelError, match="'block/conv' are not stored densely, 1 bytes for each value"):
        find_weights(write_model(model))


@pytest.mark.parametrize(("number", "shape"), [(5, [-8, 3, -3, 3]), (7, [72]), (7, [9, 8]), (7, [3, 3, 8])])
def test_weights_without_the_dimension_of_channels_are_refused(number: int, shape: List[int]) -> None:
    model = small_model()
    model.subgraphs[0].tensors[number].shape = shape
    with pytest.raises(UnsupportedModelError, match=r"weights '.*' of .*CONV_2D have the shape \[-?\d"):
        find_weights(write_model(model))


def test_sparse_weights_are_refused() -> None:
    model = small_model()
    model.subgraphs[0].tensors[5].sparsity = s.Sparsity()
    with pytest.raises(UnsupportedModelError, match="'block/conv' are not stored densely"):
        find_weights(write_model(model))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(MalformedModelError):
        find_weights(b"no model")


# ------------------------------------------------------------------------------------------------------------ injected


def flips(site: Site, pairs: Any) -> Faults:
    word = np.uint8 if site.bits == 8 else np.uint32
    masks = dict(sorted(pairs.items()))
    return Faults(site.name, Effect.FLIP, np.array(list(masks), np.int64), np.array(list(masks.values()), word))


flips_of_small = st.lists(st.sampled_from(SITES), max_size=3, unique_by=lambda site: site.name).flatmap(
    lambda sites: st.tuples(
        *(
            st.dictionaries(st.integers(0, site.size - 1), st.integers(0, 255), max_size=12).map(
                lambda pairs, site=site: flips(site, pairs)
            )
            for site in sites
        )
    )
)


@settings(deadline=None)
@given(flips_of_small)
def test_exactly_the_bits_named_change_and_come_back(faults: Sequence[Faults]) -> None:
    kept = bytes(bytearray(SMALL))
    faulty = inject(SMALL, WEIGHTS, faults)
    expected = bytearray(SMALL)
    for group in faults:
        offset = next(weight.offset for weight in WEIGHTS if weight.name == group.site)
        for element, mask in zip(group.elements.tolist(), group.operands.tolist()):
            expected[offset + element] ^= mask
    assert faulty == bytes(expected)
    assert inject(faulty, WEIGHTS, faults) == SMALL == kept


def test_each_effect_changes_bytes_as_it_says() -> None:
    conv = WEIGHTS[0]
    for effect, dtype, operand, value in (
        (Effect.SET, np.uint8, 200, lambda byte: 200),
        (Effect.STICK, np.uint16, 0b11 << 8 | 0b01, lambda byte: byte & 0b11111100 | 1),
        (Effect.ADD, np.int16, 100, lambda byte: min((byte ^ 128) - 128 + 100, 127) & 255),
    ):
        elements = np.arange(0, 216, 5)
        faulty = inject(SMALL, WEIGHTS, [Faults(conv.name, effect, elements, np.full(len(elements), operand, dtype))])
        expected = bytearray(SMALL)
        for element in elements.tolist():
            expected[conv.offset + element] = value(expected[conv.offset + element])
        assert faulty == bytes(expected)


def test_unsigned_sums_saturate_at_255() -> None:
    data = write_model(small_model(T.UINT8))
    weights = find_weights(data)
    group = Faults("block/conv", Effect.ADD, np.arange(216), np.full(216, 100, np.int16))
    faulty = np.frombuffer(stored(inject(data, weights, [group]), weights[0]), np.uint8)
    before = np.frombuffer(stored(data, weights[0]), np.uint8)
    assert faulty.tolist() == [min(int(byte) + 100, 255) for byte in before]


def test_floats_flip_bit_by_bit() -> None:
    data = write_model(small_model(T.FLOAT32))
    weights = find_weights(data)
    (conv, *_) = weights
    group = flips(conv.site, {0: 1 << 31, 215: 0x00800001})
    faulty = inject(data, weights, [group])
    expected = bytearray(data)
    expected[conv.offset + 3] ^= 0x80
    expected[conv.offset + 4 * 215] ^= 0x01
    expected[conv.offset + 4 * 215 + 2] ^= 0x80
    assert faulty == bytes(expected)
    assert inject(faulty, weights, [group]) == data


def test_faults_of_another_width_are_refused() -> None:
    data = write_model(small_model(T.FLOAT32))
    weights = find_weights(data)
    with pytest.raises(UnsupportedModelError, match="faults of 8-bit values; those of 'block/conv' have 32"):
        inject(data, weights, [flips(SITES[0], {0: 1})])
    with pytest.raises(UnsupportedModelError, match="faults of 32-bit values; those of 'block/conv' have 8"):
        inject(SMALL, WEIGHTS, [flips(weights[0].site, {0: 1})])


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (flips(Site("nowhere", "CONV_2D", (1,), 0), {0: 1}), "nothing called 'nowhere'"),
        (flips(SITES[0], {216: 1}), "outside of 'block/conv', which holds 216 values"),
        (flips(SITES[0], {-1: 1}), "outside of 'block/conv'"),
        (Faults("block/conv", Effect.SET, np.array([1, 1]), np.zeros(2, np.uint8)), "one element is hit twice"),
        (Faults("block/conv", Effect.SET, np.array([1, 2]), np.zeros(1, np.uint8)), "have 1 operands"),
    ],
)
def test_faults_outside_of_the_weights_are_refused(group: Faults, message: str) -> None:
    with pytest.raises(FaultError, match=message):
        inject(SMALL, WEIGHTS, [group])
    with pytest.raises(NoSuchTargetError, match="nothing called"):
        inject(SMALL, WEIGHTS[:2], [flips(SITES[2], {0: 1})])


def drawn(data: bytes, text: str, pattern: int = 2) -> List[Faults]:
    weights = find_weights(data)
    plan = FaultPlan(parse(text), seed=1)
    return draw_weights(plan, plan.select([w.site for w in weights]), contents(data, weights), pattern)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pretrainedResnet_quant", "iBF(p=1e-2)"),
        ("coral_mobilenet_v1_0.25_128_quant", "iBF(p=1e-3)"),
        ("pretrainedResnet", "iBF32(p=1e-3)"),
        ("pretrainedResnet_quant", "burst(p=1e-3, length=4)"),
        ("kws_ref_model", "SEU"),
    ],
)
def test_a_drawn_pattern_is_put_in_bit_for_bit_and_undone(models: Path, name: str, text: str) -> None:
    data = (models / f"{name}.tflite").read_bytes()
    weights = find_weights(data)
    faults = drawn(data, text)
    faulty = inject(data, weights, faults)
    changed = np.unpackbits(np.frombuffer(data, np.uint8) ^ np.frombuffer(faulty, np.uint8)).sum()
    assert changed == hits(faults) > 0
    if text.startswith("iBF"):
        bits, p = sum(weight.site.size * weight.site.bits for weight in weights), parse(text).p  # type: ignore[attr-defined]
        assert abs(changed - bits * p) < 4 * (bits * p) ** 0.5
    assert inject(faulty, weights, faults) == data
    assert find_weights(faulty) == weights


def test_stuck_cells_of_a_real_model(models: Path) -> None:
    """adSAF at 8 %: of the weights that are not 0, 6.64 % read 0 and of all 2.7 % lie a largest magnitude off."""
    data = (models / "pretrainedResnet_quant.tflite").read_bytes()
    weights = find_weights(data)
    faults = drawn(data, "adSAF(p=0.08)")
    assert [group.site for group in faults] == [weight.name for weight in weights]
    faulty = inject(data, weights, faults)
    total = zeroed = nonzero = far = 0
    for weight in weights:
        old = np.frombuffer(stored(data, weight), np.int8).astype(int)
        new = np.frombuffer(stored(faulty, weight), np.int8).astype(int)
        largest = np.abs(old).max()
        assert np.abs(new).max() <= largest
        total += len(old)
        nonzero += int((old != 0).sum())
        zeroed += int(((old != 0) & (new == 0)).sum())
        other = new[new != old]
        far += int((other != 0).sum())
        # Own cell stuck at zero or one, or the other array's at one.
        allowed = (new == old) | (new == 0) | (np.abs(new) == largest) | (new == old - np.sign(old) * largest)
        assert allowed.all()
    sa0, sa1 = 0.08 * 0.837, 0.08 * 0.163
    assert zeroed / nonzero == pytest.approx(sa0 * (1 - sa1) + sa1**2, abs=4 * (0.066 / nonzero) ** 0.5)
    assert far / total == pytest.approx(2 * sa1, abs=4 * (0.027 / total) ** 0.5 + 1e-3)


def test_faults_of_a_tensor_do_not_depend_on_what_else_is_hit() -> None:
    plan = FaultPlan(parse("iBF(p=0.02)"), seed=3)
    everywhere = {group.site: group for group in draw_weights(plan, SITES, {}, 4)}
    aimed = FaultPlan(parse("iBF(p=0.02)"), targets=("block/*",), seed=3)
    (alone,) = draw_weights(aimed, aimed.select(SITES), {}, 4)
    assert np.array_equal(alone.elements, everywhere["block/conv"].elements)
    assert np.array_equal(alone.operands, everywhere["block/conv"].operands)
