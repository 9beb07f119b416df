"""The loss of one network on one batch, under faults where the settings want it."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from fault_injection.errors import FaultError
from fault_injection.plan import FaultPlan
from fault_injection.pytorch import FaultTolerantLoss, Losses, find_sites
from search.errors import SearchError
from search.supernet.settings import TrainSettings

_FAULTS = 3_000_003
"""Added to the seed: a campaign chooses by other patterns, and reports winners on yet others."""
_CALIBRATION = 32
"""Images of a batch that show where a network can be struck, and the ranges of its feature maps."""


class TrainingLoss:
    """Cross-entropy; with faults (1 − α) · clean + α · faulty (Ning et al., FTT-NAS, eq. 3).

    The pattern of faults comes from (seed, step) and is the same for all networks of a step. Sites are found anew each
    time, because each network goes another way through a supernet, and as ranges of feature maps move. What is struck
    are the weights that this network uses, not the rest of the bank: rate and extremes are those of its own weights.

    BatchNorms normalise each pass with the statistics of its own batch; running ones follow the clean pass alone. In a
    supernet there are none: subnets get theirs later, from clean images.

    Args:
        settings: of the training.
        per_epoch: steps of an epoch.
    """

    def __init__(self, settings: TrainSettings, per_epoch: int) -> None:
        self._faults, self._per_epoch, self._seed = settings.faults, per_epoch, settings.seed + _FAULTS

    def __call__(
        self, module: nn.Module, images: Tensor, target: Tensor, step: int, forward: Callable[[Tensor], Tensor]
    ) -> Losses:
        """Run the network, twice where there are faults.

        Args:
            module: that holds the weights, in training mode.
            images: a batch, (N, C, H, W).
            target: classes (N,), or shares of the classes (N, classes).
            step: of the training, from 0.
            forward: runs the network.

        Raises:
            SearchError: the network has nothing that these faults could strike.
        """
        model = None if self._faults is None else self._faults.at(step, self._per_epoch)
        if self._faults is None or model is None:
            logits = forward(images)
            loss = F.cross_entropy(logits, target)
            return Losses(loss, loss.detach(), loss.detach(), 0, logits.detach())
        try:
            sites = find_sites(module, images[:_CALIBRATION], forward=forward)
            loss_under_faults = FaultTolerantLoss(sites, FaultPlan(model, seed=self._seed), self._faults.alpha)
            return loss_under_faults(images, target, step, forward)
        except FaultError as error:
            raise SearchError(
                f"training under {model}: {error}", "choose another fault model, or train without faults"
            ) from error
