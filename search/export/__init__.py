"""Torch networks as files for devices: ``.tflite`` (float32 or int8) and ``.onnx``, from one trace, in milliseconds.

>>> exported = export_tflite(network, (1, 3, 32, 32), calibration=images)
>>> verify(exported, network, images).top1
0.99
"""

from __future__ import annotations

import os

from torch import Tensor, nn

from search.export.errors import ExportError, UnsupportedModuleError
from search.export.graph import Shape
from search.export.model import ExportedModel
from search.export.quantize import Scheme, calibrate
from search.export.tflite_file import OUTPUT, site_links, write_tflite
from search.export.trace import INPUT, trace
from search.export.verify import Agreement, outputs_of, verify

__all__ = [
    "Agreement",
    "ExportError",
    "ExportedModel",
    "Scheme",
    "UnsupportedModuleError",
    "export_onnx",
    "export_tflite",
    "outputs_of",
    "verify",
]


def export_tflite(
    module: nn.Module,
    input_shape: Shape,
    *,
    calibration: Tensor | None = None,
    scheme: Scheme = Scheme.DEPLOYED,
    path: str | os.PathLike[str] | None = None,
) -> ExportedModel:
    """Write a network as a ``.tflite`` file, as it behaves in evaluation mode.

    Args:
        module: takes one (N, C, H, W) tensor and returns one tensor; it is left as it is.
        input_shape: (N, C, H, W).
        calibration: (M, C, H, W), float32, typical inputs as the network gets them, a hundred or so: makes the file
            int8 throughout, input and output included. None: float32.
        scheme: how an int8 file stores numbers.
        path: where to save the file as well.

    Returns:
        The file. Its input is (N, H, W, C), under the signature ``serving_default``.

    Raises:
        UnsupportedModuleError: the network holds something that cannot be exported; the message says what, where, and
            what to use instead.
        ExportError: weights or calibration images that cannot be used; a scheme of int8 without calibration images.
    """
    if calibration is None and scheme is not Scheme.DEPLOYED:
        raise ExportError(f"{scheme} is a scheme of int8 files, which need calibration images: pass `calibration`")
    graph = trace(module, input_shape, fuse=scheme is Scheme.DEPLOYED)
    quantization = None if calibration is None else calibrate(graph, calibration, scheme)
    n, c, h, w = input_shape
    output = graph.shapes[graph.output]
    exported = ExportedModel(
        data=write_tflite(graph, quantization),
        format="tflite",
        precision="float32" if quantization is None else "int8",
        input_name=INPUT,
        output_name=OUTPUT,
        input_shape=(n, h, w, c),
        output_shape=(output[0], *output[2:], output[1]),
        sites=site_links(graph),
    )
    if path is not None:
        exported.save(path)
    return exported


def export_onnx(module: nn.Module, input_shape: Shape, *, path: str | os.PathLike[str] | None = None) -> ExportedModel:
    """Write a network as a float32 ``.onnx`` file, as it behaves in evaluation mode.

    Args:
        module: takes one (N, C, H, W) tensor and returns one tensor; it is left as it is.
        input_shape: (N, C, H, W).
        path: where to save the file as well.

    Raises:
        UnsupportedModuleError: the network holds something that cannot be exported; the message says what, where, and
            what to use instead.
        ExportError: weights that cannot be used.
    """
    from search.export.onnx_file import write_onnx  # the onnx package takes a third of a second to load

    graph = trace(module, input_shape)
    exported = ExportedModel(
        data=write_onnx(graph),
        format="onnx",
        precision="float32",
        input_name=INPUT,
        output_name=OUTPUT,
        input_shape=input_shape,
        output_shape=graph.shapes[graph.output],
    )
    if path is not None:
        exported.save(path)
    return exported
