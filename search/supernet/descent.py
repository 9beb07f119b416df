"""Steps down the gradient: Nesterov's momentum, a clipped norm, and for 16-bit floats a scaled loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from search.supernet.machine import Machine
from search.supernet.settings import TrainSettings


class Descent:
    """Gradients of a module, gathered and followed.

    Args:
        module: on the machine's device.
        settings: of the training.
        machine: where it computes.
    """

    def __init__(self, module: nn.Module, settings: TrainSettings, machine: Machine) -> None:
        self.module, self.machine, self._clip = module, machine, settings.clip
        self._parameters = list(module.parameters())  # once: a supernet has hundreds of modules to walk through
        weights = [parameter for parameter in self._parameters if parameter.dim() > 1]
        others = [parameter for parameter in self._parameters if parameter.dim() <= 1]
        groups = [{"params": weights, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self._optimizer = torch.optim.SGD(
            groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.momentum > 0
        )
        self._scaler = machine.scaler()

    def forget(self) -> None:
        """No gradients any more."""
        self._optimizer.zero_grad(set_to_none=True)

    def gather(self, loss: Tensor) -> None:
        """Add a loss's gradients."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def clip(self) -> float | None:
        """Shorten the gradient; call it once before each step.

        Returns:
            Its norm where that says that the training is lost. Gradients that overflow for the sake of the scale alone
            are the scaler's business: it leaves the step out, and takes a smaller one.
        """
        self._scaler.unscale_(self._optimizer)
        norm = float(nn.utils.clip_grad_norm_(self._parameters, self._clip))
        scaled = self._scaler.is_enabled() and self._scaler.get_scale() > 1
        return None if math.isfinite(norm) or scaled else norm

    def take(self, rate: float) -> None:
        """Take the step."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def state(self) -> dict[str, dict[str, Any]]:
        """To go on from."""
        return {"optimizer": self._optimizer.state_dict(), "scaler": dict(self._scaler.state_dict())}

    def restore(self, optimizer: dict[str, Any], scaler: dict[str, Any]) -> None:
        """Go on from a state."""
        self._optimizer.load_state_dict(optimizer)
        self._scaler.load_state_dict(scaler)
