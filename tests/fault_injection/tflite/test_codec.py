import contextlib
import os
import re
from pathlib import Path
from struct import pack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fault_injection.tflite import MalformedModelError, read_model, write_model
from fault_injection.tflite import schema as s
from fault_injection.tflite.codec import Opaque, decode, encode

DATA = Path(os.environ.get("GAUNTLET_DATA", str(Path(__file__).parents[4] / "shared" / "data"))) / "tflite"
NAMES = [
    "ad01_int8",
    "coral_mobilenet_v1_0.25_128_quant",
    "kws_ref_model",
    "kws_ref_model_float32",
    "pretrainedResnet",
    "pretrainedResnet_quant",
    "tflm_hello_world_int8",
    "tflm_person_detect",
    "vww_96_float",
    "vww_96_int8",
]
REJECTED_BY_LITERT = {"tflm_person_detect"}


def real_model(name):
    path = DATA / (name + ".tflite")
    if not path.exists():
        pytest.skip(f"{path} is absent: set GAUNTLET_DATA")
    return path.read_bytes()


def small_model():
    """One operator of each union, an opaque table, a constant."""
    tensors = [
        s.Tensor(shape=[1, 4], name="in"),
        s.Tensor(shape=[4], name="w", buffer=1, quantization=s.Quantization(scale=np.ones(1, "f4"), zero_point=[3])),
        s.Tensor(shape=[1, 4], name="out", is_variable=True, type=s.TensorType.INT8),
    ]
    softmax = Opaque(9, pack("<3H", 6, 8, 4), pack("<if", 0, 1.5), 0)
    operators = [
        s.Operator(inputs=[0, 1], outputs=[2], builtin_options=s.AddOptions(fused_activation_function=1)),
        s.Operator(opcode_index=1, inputs=[2, -1], outputs=[0], builtin_options=softmax),
        s.Operator(inputs=[], outputs=[], builtin_options_2=s.OPTIONS_2[2](f0=np.arange(3))),
    ]
    return s.Model(
        version=3,
        operator_codes=[s.OperatorCode(), s.OperatorCode(deprecated_builtin_code=25, builtin_code=25, version=2)],
        subgraphs=[s.SubGraph(tensors=tensors, inputs=[0], outputs=[2], operators=operators, name="main")],
        buffers=[s.Buffer(), s.Buffer(data=np.arange(16, dtype=np.uint8))],
        description="grün",
    )


def same(a, b):
    """Deep equality of what was read."""
    if isinstance(a, s.Record):
        return type(a) is type(b) and all(same(value, vars(b)[name]) for name, value in vars(a).items())
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Opaque):
        # The first four bytes of the body say where the vtable lies.
        return (a.type_id, a.vtable, a.body[4:]) == (b.type_id, b.vtable, b.body[4:])
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


@pytest.mark.parametrize("name", NAMES)
def test_a_real_model_is_the_same_after_reading_and_writing(name):
    model = read_model(real_model(name))
    assert same(model, read_model(write_model(model)))


@pytest.mark.parametrize("name", sorted(set(NAMES) - REJECTED_BY_LITERT))
def test_a_rewritten_real_model_computes_the_same(name):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")

    def run(data):
        made = interpreter.Interpreter(model_content=data)
        made.allocate_tensors()
        generator = np.random.default_rng(0)
        for detail in made.get_input_details():
            values = generator.normal(0, 30 if detail["dtype"] is not np.float32 else 1, detail["shape"])
            made.set_tensor(detail["index"], values.astype(detail["dtype"]))
        made.invoke()
        return [made.get_tensor(detail["index"]) for detail in made.get_output_details()]

    data = real_model(name)
    assert all(map(np.array_equal, run(data), run(write_model(read_model(data)))))


@pytest.mark.parametrize("name", ["kws_ref_model", "tflm_person_detect", "vww_96_float"])
def test_the_vendor_s_reader_sees_no_difference(name):
    """Against generated code, which decodes the options that are opaque here."""
    vendor = pytest.importorskip("ai_edge_litert.schema_py_generated")

    def plain(value):
        if hasattr(value, "__dict__"):
            return {key: plain(item) for key, item in vars(value).items()}
        if isinstance(value, (list, np.ndarray)) and len(value) and hasattr(value[0], "__dict__"):
            return [plain(item) for item in value]
        return value.tolist() if isinstance(value, np.ndarray) else value

    data = real_model(name)
    before = plain(vendor.ModelT.InitFromPackedBuf(bytearray(data), 0))
    assert before == plain(vendor.ModelT.InitFromPackedBuf(bytearray(write_model(read_model(data))), 0))


def test_every_table_that_holds_references_is_described():
    """Tables that are carried as they lie must be flat, or the references in them would dangle."""
    vendor = pytest.importorskip("ai_edge_litert.schema_py_generated")
    source = Path(vendor.__file__).read_text()
    holds_references = set(re.findall(r"def (\w+?)Add\w+\(builder, \w+\):\n\s+builder\.PrependUOffset", source))
    assert "Tensor" in holds_references
    for union, described in ((vendor.BuiltinOptions, s.OPTIONS), (vendor.BuiltinOptions2, s.OPTIONS_2)):
        for name, number in vars(union).items():
            if name in holds_references:
                assert described[number].__name__ == name


def test_what_is_made_here_is_read_back():
    model = small_model()
    again = read_model(write_model(model))
    assert again.description == "grün"
    add, softmax, broadcast = again.subgraphs[0].operators
    assert add.builtin_options.fused_activation_function == 1
    assert softmax.inputs == [2, -1]
    assert softmax.builtin_options.body[4:] == pack("<f", 1.5)
    assert broadcast.builtin_options_2.f0.tolist() == [0, 1, 2]
    assert again.subgraphs[0].tensors[1].quantization.zero_point.tolist() == [3]
    assert again.operator_codes[1].code == 25
    assert write_model(again) == write_model(read_model(write_model(again)))


def test_constants_lie_on_multiples_of_sixteen():
    model = small_model()
    marks = [bytes([i]) * (20 + i) for i in range(1, 9)]
    model.buffers += [s.Buffer(data=np.frombuffer(mark, np.uint8)) for mark in marks]
    data = write_model(model)
    assert [data.index(mark) % 16 for mark in marks] == [0] * len(marks)


@settings(deadline=None)
@given(
    st.builds(
        s.Tensor,
        shape=st.none() | st.lists(st.integers(-(2**31), 2**31 - 1)),
        type=st.integers(-128, 127),
        buffer=st.integers(0, 2**32 - 1),
        name=st.none() | st.text(),
        is_variable=st.booleans(),
        shape_signature=st.none() | st.lists(st.integers(-1, 5)),
        quantization=st.none()
        | st.builds(
            s.Quantization,
            scale=st.none() | st.lists(st.floats(width=32, allow_nan=False)).map(lambda v: np.array(v, "f4")),
            zero_point=st.none() | st.lists(st.integers(-(2**63), 2**63 - 1)).map(lambda v: np.array(v, "i8")),
            quantized_dimension=st.integers(-(2**31), 2**31 - 1),
        ),
    )
)
def test_any_tensor_survives(tensor):
    assert same(tensor, decode(encode(tensor, b"TEST"), s.Tensor, b"TEST"))


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 64, b"PK\3\4" + bytes(60), b"\x10\0\0\0TFL3"])
def test_what_is_no_model_is_refused(data):
    with pytest.raises(MalformedModelError):
        read_model(data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_model_is_read_or_refused_but_never_worse(data):
    whole = bytearray(write_model(small_model()))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(8, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedModelError):
        read_model(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


def test_fields_of_a_newer_schema_are_refused_rather_than_lost():
    newer = s._carried("Newer", "b ? i")(f0=1, f2=7)
    data = encode(newer, b"TEST")
    with pytest.raises(MalformedModelError, match="newer schema"):
        decode(data, s.AddOptions, b"TEST")


def test_options_of_a_newer_schema_are_refused_rather_than_damaged():
    model = small_model()
    model.subgraphs[0].operators[1].builtin_options = Opaque(200, pack("<2H", 4, 4), bytes(4), 0)
    with pytest.raises(MalformedModelError, match="union member 200"):
        read_model(write_model(model))


def test_a_small_file_cannot_unfold_without_end():
    """Three thousand references to one graph of a thousand tensors."""
    count = 3000
    model = small_model()
    small = s.SubGraph(tensors=[], inputs=[], outputs=[], operators=[])
    large = s.SubGraph(tensors=[s.Tensor()] * 1000, inputs=[], outputs=[], operators=[])
    model.subgraphs = [small] * (count - 1) + [large]
    data = bytearray(write_model(model))
    first = data.index(pack("<I", count)) + 4
    last = first + 4 * (count - 1)
    target = last + int.from_bytes(data[last : last + 4], "little")
    data[first : last + 4] = b"".join(pack("<I", target - where) for where in range(first, last + 4, 4))
    with pytest.raises(MalformedModelError, match="unfolds"):
        read_model(bytes(data))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda model: setattr(model.subgraphs[0].operators[0], "inputs", [0, 3]), "names tensor 3; there are 3"),
        (lambda model: setattr(model.subgraphs[0].operators[0], "outputs", [-2]), "names tensor -2"),
        (lambda model: setattr(model.subgraphs[0], "outputs", [-1]), "names tensor -1"),
        (lambda model: setattr(model.subgraphs[0].operators[1], "opcode_index", 2), "names operator code 2"),
        (lambda model: setattr(model.subgraphs[0].tensors[1], "buffer", 2), "names buffer 2; there are 2"),
    ],
)
def test_numbers_that_lead_nowhere_are_refused(damage, message):
    model = small_model()
    damage(model)
    with pytest.raises(MalformedModelError, match=message):
        read_model(write_model(model))
