"""From an architecture to what a device can measure: the host's part of an evaluation.

    network with its weights ─▶ accuracy on the host ─▶ export ─▶ verified once ─▶ reference outputs

Where the weights come from differs (see :mod:`search.campaign.makers`). All of it is a function of the campaign and the
architecture: the same file comes out, to the bit, however often it is done. That is what lets a resumed campaign find
its jobs again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from protos import contract
from search.data import Data
from search.export import ExportedModel, ExportError, Precision, export_tflite, outputs_of, verify
from search.spaces.storage import Storage
from search.supernet import evaluate
from search.timed_windows import outside_timed_windows
from search.values import Origin, Value

#: Images for ranges of integers, for the comparison with the network, and for that on the device before it is timed.
_RANGE_IMAGES = 128
_VERIFIED_IMAGES = 64
REFERENCE_IMAGES = 16
#: A file that agrees less often than this with its network is broken, not rounded.
_LEAST_AGREEMENT = 0.5

TFLITE = "model/tflite"


class CandidateError(Exception):
    """A candidate that cannot become a file; the search learns from it.

    Attributes:
        step: where it failed, for example "training".
        kind: of the failure.
        remedy: what a person can do about it; may be empty.
    """

    def __init__(self, message: str, step: str = "export", kind: str = "not exportable", remedy: str = "") -> None:
        super().__init__(message)
        self.step, self.kind, self.remedy = step, kind, remedy


@dataclass(frozen=True)
class Candidate:
    """What a device can measure.

    Attributes:
        content: the file.
        media_type: of the file.
        figures: what is known before a device saw it.
        model: what is worth keeping; None of a candidate that is only a name in a recorded table.
        reference: outputs for the first validation images by the name of the output, (N, …); empty to trust the file.
        stage_s: seconds of the clock, by stage.
    """

    content: bytes = field(repr=False)
    media_type: str
    figures: Mapping[str, Value]
    model: ExportedModel | None = None
    reference: Mapping[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    stage_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the file, hexadecimal."""
        return contract.digest_of_bytes(self.content)


def export(
    network: nn.Module, data: Data, accuracy: str, stage_s: dict[str, float], storage: Storage | None = None
) -> Candidate:
    """Make the file of a network that has its weights. Waits while a device of this host is in a timed window.

    Args:
        network: in evaluation mode.
        data: calibrates on the training part, and judges by the validation part.
        accuracy: name of the figure that says how accurate the float network is.
        stage_s: time spent so far; grows.
        storage: in which numbers; None: int8 throughout.

    Raises:
        CandidateError: it cannot be exported, no runtime of this host runs it, or it computes something else.
    """
    stored = storage or Storage()
    torch.set_num_threads(1)
    with outside_timed_windows(), torch.inference_mode(), timed(stage_s, "accuracy on the host"):
        counted = evaluate(network, data.validation)
    low, high = counted.interval
    with outside_timed_windows(), timed(stage_s, "export"):
        channels, height, width = data.image_shape
        try:
            model = export_tflite(
                network,
                (1, channels, height, width),
                calibration=data.train.head(_RANGE_IMAGES).images,
                precision=Precision(stored.precision),
                layers={path: Precision(name) for path, name in stored.layers.items()},
                clip=stored.clip,
            )
        except ExportError as error:
            raise CandidateError(str(error)) from error
    with outside_timed_windows(), timed(stage_s, "verification"):
        try:
            agreement = verify(model, network, data.validation.head(_VERIFIED_IMAGES).images)
            outputs = outputs_of(model, data.validation.head(REFERENCE_IMAGES).images)
        except (RuntimeError, ValueError) as error:  # LiteRT, of an operator or a type that it does not have
            words = " ".join(str(error).split())
            raise CandidateError(
                f"the file does not run on this host: {words}", "verification", "not runnable"
            ) from error
    if agreement.top1 < _LEAST_AGREEMENT:
        clipped = f", its weights cut to {stored.clip:g} of the largest," if stored.clip < 1 else ""
        raise CandidateError(
            f"the exported file{clipped} agrees with its network on {agreement.top1:.0%} of the images only"
        )
    figures = {
        accuracy: Value(counted.value, low, high, 0.95, "Wilson", len(data.validation)),
        "model_bytes": Value(float(model.size_bytes), origin=Origin.MEASURED),
        "export_agreement": Value(agreement.top1),
    }
    return Candidate(model.data, TFLITE, figures, model, {model.output_name: outputs}, stage_s)


@contextmanager
def timed(stage_s: dict[str, float], stage: str) -> Iterator[None]:
    """Add the seconds of a block to a stage."""
    began = time.monotonic()
    try:
        yield
    finally:
        stage_s[stage] = stage_s.get(stage, 0.0) + time.monotonic() - began
