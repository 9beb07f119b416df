"""Torch networks as files for devices: ``.tflite`` (integers, floats or both) and ``.onnx``, from one trace, in
milliseconds.

>>> exported = export_tflite(network, (1, 3, 32, 32), calibration=images)
>>> verify(exported, network, images).top1
0.99
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from torch import Tensor, nn

from search.export.clipping import clip_weights
from search.export.errors import ExportError, UnsupportedModuleError
from search.export.graph import Shape
from search.export.kernels import check_kernels
from search.export.model import ExportedModel
from search.export.precision import Form, Precision, assign, summary
from search.export.quantize import Scheme, calibrate
from search.export.tflite_file import OUTPUT, site_links, write_tflite
from search.export.trace import INPUT, trace
from search.export.verify import Agreement, outputs_of, verify

__all__ = [
    "Agreement",
    "ExportError",
    "ExportedModel",
    "Precision",
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
    precision: Precision | None = None,
    layers: Mapping[str, Precision] | None = None,
    clip: float = 1.0,
    path: str | os.PathLike[str] | None = None,
) -> ExportedModel:
    """Write a network as a ``.tflite`` file, as it behaves in evaluation mode.

    Args:
        module: takes one (N, C, H, W) tensor and returns one tensor; it is left as it is.
        input_shape: (N, C, H, W).
        calibration: (M, C, H, W), float32, typical inputs as the network gets them, a hundred or so; integers need
            them for their ranges.
        scheme: how an int8 file stores numbers.
        precision: of all layers that `layers` does not name, and of what lies between them; the input arrives as its
            first reader computes. None: int8 where there are calibration images, float32 otherwise.
        layers: the precision of some parts, by the path of the torch module, ``layer1`` or ``layer1.0.conv1``; of
            several paths the longest counts. Values are converted where precisions meet, and nowhere else.
        clip: weights beyond this share of their layer's largest magnitude are cut to it, 0-1, BatchNorm folded in:
            steps become finer, and so does the largest weight that a stuck memory cell can stand for.
        path: where to save the file as well.

    Returns:
        The file. Its input is (N, H, W, C), under the signature ``serving_default``.

    Raises:
        UnsupportedModuleError: the network holds something that cannot be exported; the message says what, where, and
            what to use instead.
        ExportError: weights or calibration images that cannot be used; integers without calibration images; a scheme
            of int8 with another precision; a path in `layers` that names nothing; an operation that no runtime has in
            its precision.
    """
    default = precision or (Precision.FLOAT32 if calibration is None else Precision.INT8)
    if scheme is not Scheme.DEPLOYED and (layers or default is not Precision.INT8):
        raise ExportError(
            f"{scheme} is a scheme of int8 files, which need calibration images: pass `calibration`, and one precision"
        )
    graph = trace(module, input_shape, fuse=scheme is Scheme.DEPLOYED)
    clip_weights(graph, clip)
    precisions = assign(graph, default, layers or {})
    check_kernels(graph, precisions)
    quantization = None
    if any(one.form is not Form.FLOAT32 for one in precisions.values()):
        if calibration is None:
            raise ExportError("integers need ranges: pass typical images as `calibration`, or take float16 or float32")
        quantization = calibrate(graph, calibration, scheme)
    n, c, h, w = input_shape
    output = graph.shapes[graph.output]
    exported = ExportedModel(
        data=write_tflite(graph, precisions, quantization),
        format="tflite",
        precision=summary(graph, precisions),
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
