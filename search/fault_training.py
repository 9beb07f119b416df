"""Which faults a network is trained under, and from when on."""

from __future__ import annotations

from dataclasses import dataclass

from fault_injection.errors import InvalidFaultModelError
from fault_injection.models import FaultModel, parse, rate_name, with_rate


@dataclass(frozen=True)
class FaultTraining:
    """Loss (1 − α) · clean + α · faulty (Ning et al., FTT-NAS, eq. 3), the rate of faults rising over epochs.

    ::

        rate  │            ┌──────────      clean_epochs: none at first, for networks that know nothing yet learn
              │          ╱                  little under faults
              │        ╱                    ramp_epochs: then the rate rises evenly, in every step a little
            0 └───────┴────┴──────────
               clean   ramp             epochs

    Attributes:
        model: what strikes, and its final rate, as text; kept in its canonical form. The model's usual place is struck:
            weights if it strikes there, else feature maps after the activation, at the scales of a deployed network.
        alpha: share of the faulty loss, 0–1; the paper's training under adSAF has 0.7.
        clean_epochs: epochs without faults, 0 or more.
        ramp_epochs: epochs in which the rate then rises from 0, 0 or more.
    """

    model: str
    alpha: float = 0.7
    clean_epochs: int = 0
    ramp_epochs: int = 0

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ValueError: a setting outside its range, no fault model, or one whose rate cannot rise from 0.
        """
        model = parse(self.model)
        object.__setattr__(self, "model", str(model))
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be 0 to 1: {self.alpha}")
        for name in ("clean_epochs", "ramp_epochs"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more: {getattr(self, name)}")
        if self.ramp_epochs:
            try:
                with_rate(model, 0)
            except InvalidFaultModelError as error:
                raise ValueError(f"{model.name} has no rate that rises from 0: leave ramp_epochs out") from error

    def check(self, epochs: int) -> None:
        """Does the final rate come to pass within so many epochs?

        Raises:
            ValueError: it does not.
        """
        if self.clean_epochs >= epochs or self.clean_epochs + self.ramp_epochs > epochs:
            raise ValueError(
                f"faults: {self.clean_epochs} clean_epochs and {self.ramp_epochs} ramp_epochs do not fit into {epochs} "
                "epochs: lower them, or train longer"
            )

    def at(self, step: int, per_epoch: int) -> FaultModel | None:
        """What strikes in a step, counted from 0; None while nothing does.

        Args:
            step: of the whole training.
            per_epoch: steps of an epoch.
        """
        model, struck = parse(self.model), step + 1 - self.clean_epochs * per_epoch
        if struck <= 0:
            return None
        ramp = self.ramp_epochs * per_epoch
        if struck >= ramp:
            return model
        rate: float = getattr(model, rate_name(model))
        return with_rate(model, rate * struck / ramp)
