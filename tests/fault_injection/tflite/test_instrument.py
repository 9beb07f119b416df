"""Faults let into feature maps: nothing changes without them, and exactly what they say with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fault_injection.errors import NoSuchTargetError, UnsupportedModelError
from fault_injection.tflite import read_model, write_model
from fault_injection.tflite import schema as s
from fault_injection.tflite.features import Carrier, FeatureTensor, find_features, instrument, no_fault
from tests.fault_injection.tflite.tiny import ALL_KERNELS, Array, B, Kernels, Tiny, delegated, run, sample

EVERY_CARRIER = list(Carrier)
REAL = [
    "ad01_int8",
    "coral_mobilenet_v1_0.25_128_quant",
    "kws_ref_model",
    "kws_ref_model_float32",
    "pretrainedResnet",
    "pretrainedResnet_quant",
    "tflm_hello_world_int8",
    "vww_96_float",
    "vww_96_int8",
]
FIXED_BATCH = {"coral_mobilenet_v1_0.25_128_quant"}


def with_maps_as_outputs(data: bytes) -> bytes:
    """The model, with every feature map among its outputs: a softmax would hide what differs."""
    model = read_model(data)
    names = {feature.name for feature in find_features(data)}
    graph = model.subgraphs[0]
    graph.outputs += [i for i, tensor in enumerate(graph.tensors) if tensor.name in names and i not in graph.outputs]
    return write_model(model)


def quiet(sites: list[FeatureTensor], carrier: Carrier) -> list[float]:
    """No fault in any site; the values that are not set are 3."""
    return [value for site in sites for value in (no_fault(site, carrier), 3)[: 2 if carrier is Carrier.SET else 1]]


@pytest.mark.parametrize("kernels", ALL_KERNELS)
@pytest.mark.parametrize("name", REAL)
def test_no_fault_changes_no_bit_of_any_map_of_a_real_model(models: Path, kernels: Kernels, name: str) -> None:
    data = with_maps_as_outputs((models / f"{name}.tflite").read_bytes())
    sites = find_features(data)
    batch = 1 if name in FIXED_BATCH else 3
    clean = kernels.load(data, batch)
    (detail,) = clean.get_input_details()
    expected = run(clean, sample(detail))
    for carrier in EVERY_CARRIER:
        faulty = kernels.load(instrument(data, sites, carrier).data, batch)
        outputs = run(faulty, sample(detail), *quiet(sites, carrier))
        assert [output.tobytes() for output in outputs] == [output.tobytes() for output in expected]
        assert (delegated(faulty) > 0) == (delegated(clean) > 0) == kernels.delegates(detail["dtype"])


def branching(dtype: type, scale: float = 0.1, zero_point: int = 5, batch: int = 1) -> bytes:
    """A map "conv" that is an output, is read twice by a concatenation and once by a reshape."""
    tiny = Tiny()
    quantised: dict[str, Any] = {"dtype": dtype}
    if dtype is not np.float32:
        quantised |= {"scale": scale, "zero_point": zero_point}
    source = tiny.tensor((batch, 16, 16, 1), **quantised, name="image")
    conv = tiny.identity(source, tiny.tensor((batch, 16, 16, 1), **quantised, name="conv"))
    twice = tiny.tensor((batch, 16, 16, 2), **quantised, name="twice")
    tiny.operator(B.CONCATENATION, [conv, conv], twice, s.ConcatenationOptions(axis=3), 2 if dtype is np.int8 else 1)
    flat = tiny.tensor((batch, 256), **quantised, name="flat")
    shape = tiny.constant(np.array([-1, 256], np.int32))
    tiny.operator(B.RESHAPE, [conv, shape], flat, s.ReshapeOptions(new_shape=[-1, 256]))
    signature = s.SignatureDef(
        inputs=[s.TensorMap(name="x", tensor_index=source)],
        outputs=[s.TensorMap(name=name, tensor_index=i) for name, i in (("y", conv), ("z", twice), ("w", flat))],
        signature_key="serving_default",
    )
    tiny.model.signature_defs = [signature]
    return tiny.data([source], [conv, twice, flat])


def image(dtype: type, batch: int = 1) -> Array:
    """Every value of a type of 8 bits; awkward floats."""
    if dtype is np.float32:
        awkward = [0.0, 1.5, -1e30, 1e38, 1e-30, -7.25, 65504, -1e-37]
        return np.resize(np.array(awkward, np.float32), (batch, 16, 16, 1))
    return np.resize(np.arange(256).astype(np.uint8).view(dtype), (batch, 16, 16, 1))


def faults(dtype: type, carrier: Carrier, shape: tuple[int, ...]) -> tuple[list[Array], Any]:
    """Random fault tensors, and what they make of a map."""
    random = np.random.default_rng(1)
    if carrier is Carrier.SET:
        where = random.random(shape) < 0.5
        value: Array = random.integers(-128, 128, shape).astype(dtype)
        return [where, value], lambda clean: np.where(where, value, clean)
    if dtype is np.float32:
        if carrier is Carrier.ADD:
            bias = random.choice(np.array([-0.0, 1, -3e38, 1e-3], np.float32), shape)
            return [bias], lambda clean: clean + bias
        mask = random.choice(np.array([0, 1, 1 << 23, 1 << 30, -(1 << 31)], np.int32), shape)
        return [mask], lambda clean: (clean.view(np.int32) ^ mask).view(np.float32)
    stored: Array = random.integers(0, 256, shape).astype(np.uint8).view(dtype)
    if carrier is Carrier.FLIP:
        return [stored], lambda clean: clean ^ stored
    limits, steps = np.iinfo(dtype), stored.astype(int) - (128 if dtype is np.uint8 else 0)
    return [stored], lambda clean: np.clip(clean + steps, limits.min, limits.max).astype(dtype)


@pytest.mark.parametrize("kernels", ALL_KERNELS)
@pytest.mark.parametrize("carrier", EVERY_CARRIER)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float32])
@pytest.mark.parametrize("batch", [1, 3])
def test_every_reader_gets_the_faults(kernels: Kernels, carrier: Carrier, dtype: type, batch: int) -> None:
    data = branching(dtype)
    (site,) = sites = find_features(data)
    made = instrument(data, sites, carrier)
    clean = image(dtype, batch)
    tensors, hit = faults(dtype, carrier, clean.shape)
    interpreter = kernels.load(made.data, batch)
    assert made.inputs == {site.name: tuple(range(1, 1 + len(tensors)))}
    with np.errstate(over="ignore"):
        expected = hit(clean)
    conv, twice, flat = run(interpreter, clean, *tensors)
    assert conv.tobytes() == expected.tobytes()
    assert twice.tobytes() == np.concatenate([expected, expected], axis=3).tobytes()
    assert flat.tobytes() == expected.tobytes()
    for output in run(interpreter, clean, *quiet(sites, carrier)):
        assert np.unique(output).tobytes() == np.unique(clean).tobytes()


@pytest.mark.parametrize("kernels", ALL_KERNELS)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    ("scale", "zero_point"), [(0.1, 5), (1.0, 0), (0.02352941, 127), (3.1e-4, 100), (0.10419496, 1), (17.3, 60)]
)
def test_adding_saturates_exactly_for_every_pair(kernels: Kernels, dtype: type, scale: float, zero_point: int) -> None:
    """The kernels rescale both operands in fixed point or float: with one scale nothing is lost."""
    for sign in (1, -1) if dtype is np.int8 else (1,):
        data = branching(dtype, scale, sign * zero_point, batch=256)
        sites = find_features(data)
        everything = image(dtype).reshape(256)
        maps = np.broadcast_to(everything.reshape(256, 1, 1, 1), (256, 16, 16, 1))
        biases = np.broadcast_to(everything.reshape(1, 16, 16, 1), (256, 16, 16, 1))
        limits, none = np.iinfo(dtype), no_fault(sites[0], Carrier.ADD)
        expected = np.clip(maps.astype(int) + biases - int(none), limits.min, limits.max)
        interpreter = kernels.load(instrument(data, sites, Carrier.ADD).data)
        assert np.array_equal(run(interpreter, maps, biases)[0], expected)
        assert delegated(interpreter) == kernels.delegates(dtype)


@pytest.mark.parametrize("kernels", [kernels for kernels in ALL_KERNELS if "xnnpack" in str(kernels.id)])
def test_the_one_float_that_adding_zero_changes(kernels: Kernels) -> None:
    """XNNPACK's convolutions can give -0.0; the others add to 0.0 first."""
    data = branching(np.float32)
    interpreter = kernels.load(instrument(data, find_features(data), Carrier.ADD).data)
    assert np.signbit(run(interpreter, -0.0, -0.0)[0]).all()
    assert not np.signbit(run(interpreter, -0.0, 0.0)[0]).any()


@pytest.mark.parametrize("kernels", ALL_KERNELS)
@pytest.mark.parametrize("carrier", EVERY_CARRIER)
def test_fault_tensors_keep_what_is_written_into_them(kernels: Kernels, carrier: Carrier) -> None:
    """So sparse faults cost no more than their number. A view must not outlive the call of `invoke`."""
    data = branching(np.int8)
    (site,) = sites = find_features(data)
    made = instrument(data, sites, carrier)
    interpreter = kernels.load(made.data)
    details = interpreter.get_input_details()
    clean = image(np.int8)
    run(interpreter, clean, *quiet(sites, carrier))
    place, expected = 200, clean.copy()
    first = details[made.inputs[site.name][0]]["index"]
    for value in (1, 0):
        interpreter.tensor(first)().reshape(-1)[place] = value
        expected.flat[place] = (
            clean.flat[place]
            if not value
            else {
                Carrier.FLIP: clean.flat[place] ^ 1,
                Carrier.ADD: clean.flat[place] + 1,
                Carrier.SET: 3,
            }[carrier]
        )
        for _ in range(2):
            assert np.array_equal(run(interpreter)[0], expected)


@pytest.mark.parametrize("carrier", EVERY_CARRIER)
def test_names_inputs_and_signature(carrier: Carrier) -> None:
    data = branching(np.int8)
    model = read_model(instrument(data, find_features(data), carrier).data)
    (graph,) = model.subgraphs
    added = ["conv/set", "conv/value"] if carrier is Carrier.SET else [f"conv/{carrier.value}"]
    assert [graph.tensors[i].name for i in graph.inputs] == ["image", *added]
    assert [graph.tensors[i].name for i in graph.outputs] == ["conv/faulty", "twice", "flat"]
    assert model.signature_defs is not None
    (signature,) = model.signature_defs
    assert signature.inputs is not None
    assert signature.outputs is not None
    names = [(known.name, known.tensor_index) for known in signature.inputs + signature.outputs]
    assert names == list(zip(["x", *added, "y", "z", "w"], graph.inputs + graph.outputs))


def test_the_signature_runs() -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    data = branching(np.int8)
    made = interpreter.Interpreter(model_content=instrument(data, find_features(data), Carrier.FLIP).data)
    clean = image(np.int8)
    outputs = made.get_signature_runner()(x=clean, **{"conv/flip": np.full_like(clean, 1)})
    assert np.array_equal(outputs["y"], clean ^ 1)


def test_sites_can_be_some_in_any_order_and_hit_in_more_than_one_way(models: Path) -> None:
    data = (models / "kws_ref_model.tflite").read_bytes()
    sites = find_features(data)
    flips = instrument(data, [sites[4], sites[0], sites[4]], Carrier.FLIP)
    assert flips.inputs == {sites[4].name: (1,), sites[0].name: (2,)}
    assert find_features(flips.data) == sites
    both = instrument(flips.data, sites[:1], Carrier.SET)
    assert both.inputs == {sites[0].name: (3, 4)}
    graph = read_model(both.data).subgraphs[0]
    assert [graph.tensors[i].shape_signature for i in graph.inputs[1:]] == [[-1, 25, 5, 64]] * 4


def test_without_sites_nothing_is_added() -> None:
    data = branching(np.int8)
    assert instrument(data, [], Carrier.FLIP).data == write_model(read_model(data))


def test_operators_are_as_old_as_does_the_job() -> None:
    def codes(dtype: type, carrier: Carrier) -> set[tuple[int, int]]:
        data = branching(dtype)
        made = read_model(instrument(data, find_features(data), carrier).data)
        return {(code.code, code.version) for code in made.operator_codes[3:]}

    assert codes(np.int8, Carrier.FLIP) == codes(np.uint8, Carrier.FLIP) == {(B.BITWISE_XOR, 1)}
    assert codes(np.float32, Carrier.FLIP) == {(B.BITCAST, 1), (B.BITWISE_XOR, 1)}
    assert codes(np.int8, Carrier.ADD) == {(B.ADD, 2)}
    assert codes(np.uint8, Carrier.ADD) == codes(np.float32, Carrier.ADD) == {(B.ADD, 1)}
    assert codes(np.int8, Carrier.SET) == {(B.SELECT_V2, 1)}


def test_a_site_of_another_model_is_refused() -> None:
    data = branching(np.int8)
    (other,) = find_features(branching(np.int8, scale=0.2))
    with pytest.raises(NoSuchTargetError, match="'conv' was found in another model"):
        instrument(data, [other], Carrier.FLIP)
    stranger = FeatureTensor("stranger", "CONV_2D", (1,), "int8", 1.0, 0, "none", 1)
    with pytest.raises(NoSuchTargetError, match="no feature map called 'stranger'"):
        instrument(data, [stranger], Carrier.FLIP)


def test_adding_needs_a_scale() -> None:
    tiny = Tiny()
    source, weights = tiny.tensor((1, 4)), tiny.constant(np.zeros((3, 4), np.int8))
    data = tiny.data([source], [tiny.operator(B.FULLY_CONNECTED, [source, weights], tiny.tensor((1, 3)), None)])
    sites = find_features(data)
    assert instrument(data, sites, Carrier.FLIP).inputs == {"t2": (1,)}
    with pytest.raises(UnsupportedModelError, match="'t2' has no scale of its own, which adding needs"):
        instrument(data, sites, Carrier.ADD)
