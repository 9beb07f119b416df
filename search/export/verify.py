"""Compares an exported file with the network it came from."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search.export.model import ExportedModel
from search.export.reference import single_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

_BATCH = 64


@dataclass(frozen=True)
class Agreement:
    """How far a file's outputs are from the network's.

    Attributes:
        images: how many were compared.
        max_difference: largest difference of any two logits.
        logit_std: standard deviation of the network's logits, over images and classes.
        top1: share of the images to which both give the same class, 0–1. An exact tie counts only if broken alike.
    """

    images: int
    max_difference: float
    logit_std: float
    top1: float

    @property
    def relative_difference(self) -> float:
        """``max_difference / logit_std``; infinite where the logits do not vary, yet the outputs differ."""
        if self.max_difference == 0:
            return 0.0
        return self.max_difference / self.logit_std if self.logit_std > 0 else float("inf")


def verify(exported: ExportedModel, module: nn.Module, images: Tensor) -> Agreement:
    """Run both on the same images, one at a time if the file's batch is one.

    Args:
        exported: the file; ``.tflite`` runs in LiteRT on one thread, ``.onnx`` in ONNX Runtime.
        module: the network, put into evaluation mode for the time being.
        images: (N, C, H, W), float32, N ≥ 1 and a multiple of the file's batch.

    Raises:
        ValueError: images that do not fit the file.
        ImportError: the runtime is not installed.
    """
    got = outputs_of(exported, images)
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    with single_thread(), torch.inference_mode(), _evaluation_mode(module):
        outputs = [module(part.to(device)).cpu() for part in torch.split(images, _BATCH)]
    expected = torch.cat(outputs).flatten(1).numpy()
    got = got.reshape(expected.shape)
    return Agreement(
        images=len(images),
        max_difference=float(np.abs(got - expected).max()),
        logit_std=float(expected.std()),
        top1=float((got.argmax(1) == expected.argmax(1)).mean()),
    )


def outputs_of(exported: ExportedModel, images: Tensor) -> NDArray[np.float32]:
    """What the file computes on this host, dequantised.

    Args:
        exported: the file.
        images: (N, C, H, W), float32, N ≥ 1 and a multiple of the file's batch.

    Returns:
        (N, …), in torch's order of dimensions.

    Raises:
        ValueError: images that do not fit the file.
        ImportError: the runtime is not installed.
    """
    batch = exported.input_shape[0]
    if images.dim() != 4 or len(images) == 0 or len(images) % batch:
        raise ValueError(f"images must be (N, C, H, W), N a positive multiple of {batch}: {tuple(images.shape)}")
    run = _tflite_runner(exported) if exported.format == "tflite" else _onnx_runner(exported)
    pixels = images.cpu().numpy()
    return np.concatenate([run(pixels[i : i + batch]) for i in range(0, len(pixels), batch)])


@contextmanager
def _evaluation_mode(module: nn.Module) -> Iterator[None]:
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


Runner = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def _tflite_runner(exported: ExportedModel) -> Runner:
    from ai_edge_litert.interpreter import Interpreter

    with _without_greeting():
        interpreter = Interpreter(model_content=exported.data, num_threads=1)
        interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        interpreter.set_tensor(source["index"], _stored(pixels.transpose(0, 2, 3, 1), source))
        interpreter.invoke()
        output = _real(interpreter.get_tensor(target["index"]), target)
        return output.transpose(0, 3, 1, 2) if output.ndim == 4 else output

    return run


@contextmanager
def _without_greeting() -> Iterator[None]:
    """LiteRT announces its delegate on file descriptor 2, which tears progress bars; no setting keeps it quiet."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _stored(values: NDArray[np.float32], detail: dict[str, Any]) -> NDArray[Any]:
    if detail["dtype"] is np.float32:
        return np.ascontiguousarray(values)
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    integers: NDArray[Any] = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
    return integers.astype(detail["dtype"])


def _real(stored: NDArray[Any], detail: dict[str, Any]) -> NDArray[np.float32]:
    if detail["dtype"] is np.float32:
        return stored.astype(np.float32, copy=False)
    scale, zero_point = detail["quantization"]
    reals: NDArray[np.float32] = ((stored.astype(np.float32) - zero_point) * scale).astype(np.float32)
    return reals


def _onnx_runner(exported: ExportedModel) -> Runner:
    import onnxruntime  # type: ignore[import-untyped, unused-ignore]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(exported.data, options, providers=["CPUExecutionProvider"])

    def run(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        output: NDArray[np.float32] = session.run([exported.output_name], {exported.input_name: pixels})[0]
        return output

    return run
