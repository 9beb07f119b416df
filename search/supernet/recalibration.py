"""BatchNorm statistics for weights that were trained as a part of something larger."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_BATCH = 256


@torch.no_grad()
def recalibrate(network: nn.Module, images: Tensor) -> None:
    """Measure mean and variance of each BatchNorm on images (BigNAS, Yu et al. 2020, *batch norm calibration*).

    Args:
        network: its weights stay as they are; it ends in evaluation mode.
        images: (N, C, H, W), N ≥ 2, typical of training.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain averages over the batches
        norm.train()
    # Equal batches: each weighs the same in the averages.
    for part in images.to(memory_format=torch.channels_last).tensor_split(max(1, -(-len(images) // _BATCH))):
        network(part)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
