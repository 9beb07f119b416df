"""How often a network is right, and how sure that figure is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from fault_injection.statistics import wilson_interval
from search.data import Split

_CONFIDENCE = 0.95
_BATCH = 256


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
