"""Weights found in a file, hit, and mended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fault_injection.errors import NoSuchTargetError, UnsupportedModelError
from fault_injection.models import IndependentBitFlips
from fault_injection.sampling import BitFlips
from fault_injection.tflite import MalformedModelError, Model, read_model, write_model
from fault_injection.tflite import schema as s
from fault_injection.tflite.weights import WeightTensor, draw, find_weights, inject, select

B, T = s.BuiltinOperator, s.TensorType


def small_model(weight_type: int = T.INT8) -> Model:
    """conv → depthwise → fully connected, which uses its weights twice; a bias, a shape, two tensors of one name."""
    random = np.random.default_rng(0)
    buffers = [s.Buffer()]
    tensors: list[s.Tensor] = []

    def tensor(name: str, kind: int, shape: Sequence[int], constant: bool = True) -> int:
        size = int(np.prod(shape)) * (4 if kind in (T.FLOAT32, T.INT32) else 1)
        if constant:
            buffers.append(s.Buffer(data=random.integers(0, 256, size).astype(np.uint8)))
        buffer = len(buffers) - 1 if constant else 0
        tensors.append(s.Tensor(shape=list(shape), type=kind, name=name, buffer=buffer))
        return len(tensors) - 1

    x = [tensor(f"x{i}", T.INT8, (1, 4, 4, 3), constant=False) for i in range(5)]
    conv = tensor("block/conv", weight_type, (8, 3, 3, 3))
    bias = tensor("block/bias", T.INT32, (8,))
    depthwise = tensor("same", weight_type, (1, 3, 3, 8))
    dense = tensor("same", weight_type, (10, 8))
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


def test_weights_are_found_and_nothing_else() -> None:
    assert [(w.name, w.operator, w.shape) for w in WEIGHTS] == [
        ("block/conv", "CONV_2D", (8, 3, 3, 3)),
        ("same#0.7", "DEPTHWISE_CONV_2D", (1, 3, 3, 8)),
        ("same#0.8", "FULLY_CONNECTED", (10, 8)),
    ]
    model = read_model(SMALL)
    for place, number in enumerate((5, 7, 8)):
        weight, content = WEIGHTS[place], model.buffers[model.subgraphs[0].tensors[number].buffer].data
        assert content is not None
        assert SMALL[weight.offset : weight.offset + weight.size] == content.tobytes()


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("pretrainedResnet_quant", 10),
        ("coral_mobilenet_v1_0.25_128_quant", 28),
        ("kws_ref_model", 10),
        ("ad01_int8", 10),
    ],
)
def test_weights_of_real_models_lie_where_they_are_said_to(models: Path, name: str, count: int) -> None:
    data = (models / f"{name}.tflite").read_bytes()
    weights = find_weights(data)
    assert len(weights) == count
    model = read_model(data)
    by_name = {tensor.name: tensor for tensor in model.subgraphs[0].tensors}
    for weight in weights:
        content = model.buffers[by_name[weight.name].buffer].data
        assert content is not None
        assert data[weight.offset : weight.offset + weight.size] == content.tobytes()


flips_of_small = st.lists(
    st.integers(0, len(WEIGHTS) - 1).flatmap(
        lambda i: st.lists(
            st.tuples(st.integers(0, WEIGHTS[i].size - 1), st.integers(0, 7)), max_size=12, unique=True
        ).map(lambda pairs: flips(WEIGHTS[i], pairs))
    ),
    max_size=4,
)


def flips(weight: WeightTensor, pairs: Sequence[tuple[int, int]]) -> BitFlips:
    return BitFlips(weight.name, np.array([e for e, _ in pairs], np.int64), np.array([b for _, b in pairs], np.uint8))


@settings(deadline=None)
@given(flips_of_small)
def test_exactly_the_bits_named_change_and_come_back(faults: list[BitFlips]) -> None:
    faulty = inject(SMALL, WEIGHTS, faults)
    expected = bytearray(SMALL)
    for hit in faults:
        offset = next(w.offset for w in WEIGHTS if w.name == hit.site)
        for place in range(len(hit)):
            expected[offset + int(hit.elements[place])] ^= 1 << int(hit.bits[place])
    assert faulty == bytes(expected)
    assert inject(faulty, WEIGHTS, faults) == SMALL


def test_a_drawn_pattern_is_put_in_bit_for_bit_and_undone(models: Path) -> None:
    data = (models / "pretrainedResnet_quant.tflite").read_bytes()
    weights = find_weights(data)
    faults = draw(weights, IndependentBitFlips(1e-2), seed=1, pattern=2)
    faulty = inject(data, weights, faults)
    changed = np.unpackbits(np.frombuffer(data, np.uint8) ^ np.frombuffer(faulty, np.uint8)).sum()
    drawn = sum(len(hit) for hit in faults)
    bits = 8 * sum(weight.size for weight in weights)
    assert changed == drawn
    assert abs(drawn - bits * 0.01) < 4 * (bits * 0.01) ** 0.5
    assert inject(faulty, weights, faults) == data
    assert find_weights(faulty) == weights


def test_faults_of_a_tensor_do_not_depend_on_what_else_is_hit() -> None:
    model = IndependentBitFlips(0.02)
    everywhere = {hit.site: hit for hit in draw(WEIGHTS, model, 3, 4)}
    (alone,) = draw(select(WEIGHTS, ["block/*"]), model, 3, 4)
    assert np.array_equal(alone.elements, everywhere["block/conv"].elements)
    assert np.array_equal(alone.bits, everywhere["block/conv"].bits)


def test_patterns_choose_tensors() -> None:
    assert select(WEIGHTS, []) == WEIGHTS
    assert [w.name for w in select(WEIGHTS, ["*conv"])] == ["block/conv"]
    assert [w.name for w in select(WEIGHTS, ["same*", "block/conv"])] == [w.name for w in WEIGHTS]


@pytest.mark.parametrize("pattern", ["Block/*", "block/bias", "shape", "x0", ""])
def test_a_pattern_that_matches_nothing_is_an_error(pattern: str) -> None:
    with pytest.raises(
        NoSuchTargetError, match=r"no 8-bit weights match .*; the model has: block/conv, same#0\.7, same"
    ):
        select(WEIGHTS, ["*conv", pattern])


def test_faults_outside_of_the_weights_are_refused() -> None:
    conv = WEIGHTS[0]
    nowhere = WeightTensor("nowhere", "CONV_2D", (1,), 0, 1)
    for hit, message in (
        (flips(nowhere, [(0, 0)]), "no 8-bit weights called 'nowhere'"),
        (flips(conv, [(conv.size, 0)]), "outside of 'block/conv', which holds 216 values"),
        (flips(conv, [(-1, 0)]), "outside of 'block/conv'"),
        (flips(conv, [(0, 8)]), "hits bit 8; there are 0 to 7"),
    ):
        with pytest.raises(NoSuchTargetError, match=message):
            inject(SMALL, WEIGHTS, [hit])


def test_a_float_model_has_no_bits_to_flip(models: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="those of this model are float32: export it as int8"):
        find_weights(write_model(small_model(T.FLOAT32)))
    with pytest.raises(UnsupportedModelError, match="float32"):
        find_weights((models / "pretrainedResnet.tflite").read_bytes())


def test_a_model_without_weights_says_so() -> None:
    model = small_model()
    model.subgraphs[0].operators = [model.subgraphs[0].operators[2]]
    with pytest.raises(UnsupportedModelError, match="no weights"):
        find_weights(write_model(model))


def test_weights_that_are_not_one_byte_each_are_refused() -> None:
    model = small_model()
    model.subgraphs[0].tensors[5].shape = [8, 3, 3, 4]
    with pytest.raises(UnsupportedModelError, match="'block/conv' are not stored densely"):
        find_weights(write_model(model))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(MalformedModelError):
        find_weights(b"no model")
