"""How often a network is right, and how sure that figure is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from search.data import Split

_Z95 = 1.959963984540054
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


def wilson(correct: int, images: int, z: float = _Z95) -> tuple[float, float]:
    """Interval of a share (Wilson 1927): stays within 0–1 and is not empty at its ends."""
    share, weight = correct / images, z * z / images
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / images + weight / (4 * images)) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)


@torch.inference_mode()
def evaluate(network: nn.Module, split: Split, batch: int = _BATCH) -> Accuracy:
    """Count a network's right answers, in evaluation mode, in which it is left."""
    network.eval()
    correct = 0
    for images, labels in split.batches(batch):
        logits = network(images.to(memory_format=torch.channels_last))
        correct += int((logits.argmax(1) == labels).sum())
    return Accuracy(correct, len(split))
