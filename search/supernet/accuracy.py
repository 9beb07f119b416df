"""How often a network is right, with and without faults, and how sure that figure is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from fault_injection.errors import FaultError
from fault_injection.models import parse
from fault_injection.plan import FaultPlan
from fault_injection.pytorch import evaluate as evaluate_patterns
from fault_injection.pytorch import find_sites, fold_batch_norm
from fault_injection.statistics import mean_over_patterns, wilson_interval
from search.data import Split
from search.errors import SearchError

_CONFIDENCE = 0.95
_BATCH = 256
_CALIBRATION = 128
"""Images that show the ranges of feature maps."""


@dataclass(frozen=True)
class Accuracy:
    """Right answers out of a number of images.

    Attributes:
        correct: right answers.
        images: asked, at least 1.
    """

    correct: int
    images: int

    @property
    def value(self) -> float:
        """0–1."""
        return self.correct / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval, Wilson's (1927); the images are taken as independent."""
        return wilson(self.correct, self.images)


def wilson(correct: int, images: int) -> tuple[float, float]:
    """95 % interval of a share of at least one image (Wilson 1927)."""
    interval = wilson_interval(correct, images, _CONFIDENCE)
    assert interval is not None
    return interval.low, interval.high


@torch.inference_mode()
def evaluate(network: nn.Module, split: Split, batch: int = _BATCH) -> Accuracy:
    """Count a network's right answers, in evaluation mode, in which it is left."""
    network.eval()
    correct = 0
    for images, labels in split.batches(batch):
        logits = network(images.to(memory_format=torch.channels_last))
        correct += int((logits.argmax(1) == labels).sum())
    return Accuracy(correct, len(split))


@dataclass(frozen=True)
class FaultyAccuracy:
    """Accuracy under a fault condition.

    Attributes:
        mean: over patterns of faults, 0–1.
        low: lower end of its 95 % interval over patterns; the images are these ones.
        high: upper end.
        patterns: how many, at least 2.
    """

    mean: float
    low: float
    high: float
    patterns: int


def evaluate_under(
    network: nn.Module, split: Split, condition: str, *, seed: int, patterns: int, batch: int = _BATCH
) -> FaultyAccuracy:
    """How often a network is right while something breaks, on the host.

    What is struck is the network as it would be deployed: BatchNorm folded, 8-bit scales from its weights and from the
    ranges of its feature maps. Patterns are numbered from 0: networks that are judged with the same seed and as many
    patterns are judged by the same ones, so far as their shapes agree.

    Args:
        network: trained; ends in evaluation mode, otherwise left as it is.
        split: its images; the first 128 show the ranges of feature maps.
        condition: a fault model with its rate, for example ``adSAF(p=0.08)``.
        seed: of the patterns, not negative.
        patterns: how many, 2 or more: a single one has no interval.
        batch: images to a call; changes speed only.

    Raises:
        ValueError: fewer than two patterns.
        SearchError: no fault model, or the network has nothing that it could strike.
    """
    if patterns < 2:
        raise ValueError(f"patterns must be 2 or more: {patterns}")
    network.eval()
    try:
        deployed = fold_batch_norm(network)
        deployed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = split.images.contiguous(memory_format=torch.channels_last)
        sites = find_sites(deployed, images[:_CALIBRATION])
        plan = FaultPlan(parse(condition), seed=seed)
        found = evaluate_patterns(sites, plan, range(patterns), images, split.labels, batch)
    except FaultError as error:
        raise SearchError(f"accuracy under {condition}: {error}", "choose another fault condition") from error
    estimate = mean_over_patterns([outcome.accuracy for outcome in found.patterns], _CONFIDENCE)
    assert estimate.interval is not None
    return FaultyAccuracy(estimate.value, estimate.interval.low, estimate.interval.high, patterns)
