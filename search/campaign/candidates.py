"""From an architecture to a file that a device can measure: the host's part of an evaluation.

    subnet with its weights ─▶ BatchNorm recalibrated ─▶ inherited accuracy ─▶ int8 export ─▶ verified once

All of it is a function of the trained supernet and the architecture: the same file comes out, to the bit, however often
it is done. That is what lets a resumed campaign find its jobs again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from protos.hostlock import HostLock
from search.data import Data
from search.export import ExportedModel, ExportError, export_tflite, verify
from search.spaces.base import Architecture
from search.supernet import Supernet, evaluate
from search.values import Value

#: Training images for BatchNorm statistics and for the ranges of int8; a few hundred do.
_CALIBRATION_IMAGES = 512
_RANGE_IMAGES = 128
_VERIFIED_IMAGES = 64
#: An int8 file that agrees less often than this with its network is broken, not rounded.
_LEAST_AGREEMENT = 0.5
_POLL_S = 0.005


class CandidateError(Exception):
    """A candidate that cannot become a file; the search learns from it."""


@dataclass(frozen=True)
class Candidate:
    """A candidate as a file.

    Attributes:
        architecture: which.
        model: the int8 file.
        inherited: validation accuracy of the float network, with the supernet's weights.
        agreement: share of images on which the file's class is the network's, 0-1.
        stage_s: seconds of the clock, by stage.
    """

    architecture: Architecture
    model: ExportedModel
    inherited: Value
    agreement: float
    stage_s: dict[str, float]


def prepare(supernet: Supernet, data: Data, architecture: Architecture) -> Candidate:
    """Make the file. Waits while a device of this host is in a timed window.

    Raises:
        CandidateError: it cannot be exported, or computes something else.
    """
    stage_s: dict[str, float] = {}
    torch.set_num_threads(1)
    with _outside_timed_windows(), torch.inference_mode():
        with _timed(stage_s, "recalibration"):
            network = supernet.subnet(architecture, data.train.head(_CALIBRATION_IMAGES).images)
        with _timed(stage_s, "inherited accuracy"):
            counted = evaluate(network, data.validation)
    low, high = counted.interval
    inherited = Value(counted.value, low, high, 0.95, "Wilson", len(data.validation))
    with _outside_timed_windows(), _timed(stage_s, "export"):
        channels, height, width = data.image_shape
        try:
            model = export_tflite(
                network, (1, channels, height, width), calibration=data.train.head(_RANGE_IMAGES).images
            )
        except ExportError as error:
            raise CandidateError(str(error)) from error
    with _outside_timed_windows(), _timed(stage_s, "verification"):
        agreement = verify(model, network, data.validation.head(_VERIFIED_IMAGES).images)
    if agreement.top1 < _LEAST_AGREEMENT:
        raise CandidateError(f"the exported file agrees with its network on {agreement.top1:.0%} of the images only")
    return Candidate(architecture, model, inherited, agreement.top1, stage_s)


@contextmanager
def _timed(stage_s: dict[str, float], stage: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        stage_s[stage] = stage_s.get(stage, 0.0) + time.monotonic() - began


@contextmanager
def _outside_timed_windows() -> Iterator[None]:
    """Compute only while no device of this host is being timed: a busy neighbour multiplies its 99th percentile."""
    lock = HostLock()
    while not lock.try_acquire(shared=True):
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        lock.release()
