"""One small network in every format, with inputs and the outputs that torch gives: what all runtimes must agree on.

Made once a session where torch and onnx are installed, or beforehand, for an environment without them:

    python -m tests.device_agent.networks FOLDER
    GAUNTLET_TEST_NETWORKS=FOLDER pytest …
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

SHAPE = (3, 16, 16)
CLASSES = 10
SAMPLES = 8


def make(folder: Path) -> None:
    """Write everything; files that exist are replaced."""
    import numpy as np
    import torch
    from torch import nn

    from search.export import export_onnx, export_tflite

    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, CLASSES),
    ).eval()
    images = torch.rand(SAMPLES, *SHAPE)
    with torch.no_grad():
        expected = network(images).numpy()
    np.savez(folder / "expected.npz", images=images.numpy(), outputs=expected)
    one = (1, *SHAPE)
    export_tflite(network, one, path=folder / "network.tflite")
    export_tflite(network, one, calibration=images, path=folder / "int8.tflite")
    export_onnx(network, one, path=folder / "network.onnx")
    _onnx_variants(folder)
    torch.export.save(torch.export.export(network, (images[:1],)), folder / "network.pt2")
    sizes = torch.export.Dim("samples", min=1, max=1024)
    program = torch.export.export(network, (images[:2],), dynamic_shapes=({0: sizes},))
    torch.export.save(program, folder / "dynamic.pt2")


def _onnx_variants(folder: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(folder / "network.onnx")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "samples"
    onnx.save(model, folder / "dynamic.onnx")

    import numpy as np

    def constant(name: str, value: Any) -> Any:
        return numpy_helper.from_array(np.array(value), name)

    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["input", "scale", "zero"], ["real"]),
            helper.make_node("Relu", ["real"], ["positive"]),
            helper.make_node("QuantizeLinear", ["positive", "wide", "none"], ["output"]),
        ],
        "quantised",
        [helper.make_tensor_value_info("input", TensorProto.INT8, ["samples", 4])],
        [helper.make_tensor_value_info("output", TensorProto.UINT8, ["samples", 4])],
        [
            constant("scale", np.float32(0.5)),
            constant("zero", np.int8(-3)),
            constant("wide", np.float32(0.25)),
            constant("none", np.uint8(0)),
        ],
    )
    opset = [helper.make_opsetid("", 14)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "int8.onnx")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
