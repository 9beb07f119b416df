"""Training a network so that it survives faults."""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional

import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor

from fault_injection.plan import FaultPlan, Scale
from fault_injection.pytorch.injection import Injector
from fault_injection.pytorch.sites import TorchSites
from fault_injection.pytorch.statistics import kept_statistics

Forward = Callable[[Tensor], Tensor]
Criterion = Callable[[Tensor, Tensor], Tensor]


class Losses(NamedTuple):
    """What a step of training is about.

    Attributes:
        total: to be minimised, a scalar.
        clean: of the network without faults.
        faulty: of the network with them.
        hits: faults that were put in.
        outputs: of the network without faults, detached.
    """

    total: Tensor
    clean: Tensor
    faulty: Tensor
    hits: int
    outputs: Tensor


class FaultTolerantLoss:
    """(1 − α) · loss without faults + α · loss with faults, a new pattern at each step (Ning et al., FTT-NAS, eq. 3).

    Nothing is drawn from a running generator: the pattern's number is the step's, so that plan and step decide the
    faults and a training that is resumed goes on exactly.

    Gradients flow through both passes; what is hit hands back none, as in the paper's public code. The faulty pass of a
    BatchNorm in training mode normalises with the statistics of its own, faulty batch; its running statistics follow
    the clean pass alone. Values that are not hit stay in floating point.

    In the paper's powers of two the scale of a feature map follows each batch. Scales as deployed are those that were
    seen when the sites were found: find them again as ranges move.

    Args:
        sites: of the network. Those of an elastic network belong to one way through it: find them, on a few images,
            for each that is trained.
        plan: what breaks. Faults of weights must last (see :class:`~fault_injection.plan.Lifetime`).
        alpha: share of the faulty loss, 0-1; 0.7 in the paper's training under adSAF.
        criterion: (outputs, labels) → scalar.

    Raises:
        FaultError: the plan does not fit the network.
        ValueError: `alpha` lies outside of 0 to 1.
    """

    def __init__(
        self, sites: TorchSites, plan: FaultPlan, alpha: float, criterion: Criterion = F.cross_entropy
    ) -> None:
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in 0 to 1, not {alpha:g}")
        follow = plan.scale is Scale.POWER_OF_TWO and sites.layers[0].file is None
        self._injector = Injector(sites, plan, follow_ranges=follow)
        self._alpha, self._criterion = alpha, criterion

    def __call__(self, images: Tensor, labels: Tensor, step: int, forward: Optional[Forward] = None) -> Losses:
        """Run the network twice.

        Args:
            images: a batch, (N, …).
            labels: for the criterion.
            step: number of the step.
            forward: how to run the network, if not by calling it: the way for which the sites were found.
        """
        module = self._injector.sites.module
        run: Forward = module if forward is None else forward
        outputs = run(images)
        clean = self._criterion(outputs, labels)
        with kept_statistics(module), self._injector.inject(step) as injection:
            faulty = self._criterion(run(images), labels)
        total = (1 - self._alpha) * clean + self._alpha * faulty
        return Losses(total, clean.detach(), faulty.detach(), injection.hits, outputs.detach())
