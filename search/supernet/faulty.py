"""The loss of one network on one batch, under faults where the settings want it."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from fault_injection.errors import FaultError
from fault_injection.models import Place
from fault_injection.plan import FaultPlan, Scale
from fault_injection.pytorch import FaultTolerantLoss, Losses, TorchSites, find_sites
from search.errors import SearchError
from search.supernet.settings import TrainSettings

_FAULTS = 3_000_003
"""Added to the seed: a campaign chooses by other patterns, and reports winners on yet others."""
_CALIBRATION = 32
"""Images of a batch that show the ranges of a network's feature maps."""
_FEWEST = 2
"""Images that show where it can be struck; a BatchNorm cannot do with one."""


class TrainingLoss:
    """Cross-entropy; with faults (1 − α) · clean + α · faulty (Ning et al., FTT-NAS, eq. 3).

    The pattern of faults comes from (seed, step) and is the same for all networks of a step. Where a network can be
    struck is found anew for each that goes another way through a supernet, and where faults need the ranges of feature
    maps, which move. What is struck are the weights that this network uses, not the rest of the bank: rate and extremes
    are those of its own weights.

    BatchNorms normalise each pass with the statistics of its own batch; running ones follow the clean pass alone. In a
    supernet there are none: subnets get theirs later, from clean images.

    Args:
        settings: of the training.
        per_epoch: steps of an epoch.
        one_way: the network is the same in all steps.
    """

    def __init__(self, settings: TrainSettings, per_epoch: int, *, one_way: bool = False) -> None:
        self._faults, self._per_epoch, self._seed = settings.faults, per_epoch, settings.seed + _FAULTS
        self._one_way = one_way
        self._sites: TorchSites | None = None
        self._found: tuple[FaultPlan, FaultTolerantLoss] | None = None

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
        plan = None if self._faults is None else self._faults.at(step, self._per_epoch, self._seed)
        if plan is None:
            logits = forward(images)
            loss = F.cross_entropy(logits, target)
            return Losses(loss, loss.detach(), loss.detach(), 0, logits.detach())
        try:
            loss_under_faults = self._under(plan, module, images, forward)
            return loss_under_faults(images, target, step, forward)
        except FaultError as error:
            raise SearchError(
                f"training under {plan.model}: {error}", "choose another fault model, or train without faults"
            ) from error

    def _under(
        self, plan: FaultPlan, module: nn.Module, images: Tensor, forward: Callable[[Tensor], Tensor]
    ) -> FaultTolerantLoss:
        """The loss of this way through the network; found once if that is the only one, and ranges play no part."""
        assert self._faults is not None
        if plan.place is Place.FEATURES and plan.scale is Scale.DEPLOYED:
            sites = find_sites(module, images[:_CALIBRATION], forward=forward)
            return FaultTolerantLoss(sites, plan, self._faults.alpha)
        if self._sites is None or not self._one_way:
            self._sites, self._found = find_sites(module, images[:_FEWEST], forward=forward), None
        if self._found is None or self._found[0] != plan:  # whose rate rises
            self._found = plan, FaultTolerantLoss(self._sites, plan, self._faults.alpha)
        return self._found[1]
