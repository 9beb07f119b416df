"""Which faults a network is trained under, and from when on."""

from __future__ import annotations

from dataclasses import dataclass

from fault_injection.errors import InvalidFaultModelError
from fault_injection.models import FaultModel, parse, rate_name, with_rate
from fault_injection.plan import FaultPlan, Position, Scale


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
        model: what strikes, and its final rate, as text; kept in its canonical form.
        alpha: share of the faulty loss, 0–1; the paper's training under adSAF has 0.7.
        clean_epochs: epochs without faults, 0 or more.
        ramp_epochs: epochs in which the rate then rises from 0, 0 or more.
        position: "weights", or feature maps "before" or "after" the activation, kept as it is meant; None: weights if
            the model strikes there, else after. The paper's MiBB strikes the signed sums before it.
        scale: of the steps that a value has bits in: "deployed", as in an exported file, or "power-of-two", FTT-NAS's
            2^(S − 7), which follows the range of each batch.
    """

    model: str
    alpha: float = 0.7
    clean_epochs: int = 0
    ramp_epochs: int = 0
    position: str | None = None
    scale: str = "deployed"

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ValueError: a setting outside its range, no fault model, one that does not strike there, or one whose rate
                cannot rise from 0.
        """
        model = parse(self.model)
        object.__setattr__(self, "model", str(model))
        for name, known in (("position", Position), ("scale", Scale)):
            words = [word.value for word in known]
            if getattr(self, name) not in (None, *words):
                raise ValueError(f"{name} must be one of {', '.join(words)}: {getattr(self, name)}")
        position = self._plan(model, 0).position
        assert position is not None
        object.__setattr__(self, "position", position.value)
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

    def at(self, step: int, per_epoch: int, seed: int) -> FaultPlan | None:
        """What strikes in a step, counted from 0; None while nothing does.

        Args:
            step: of the whole training.
            per_epoch: steps of an epoch.
            seed: of the patterns.
        """
        model, struck = parse(self.model), step + 1 - self.clean_epochs * per_epoch
        if struck <= 0:
            return None
        ramp = self.ramp_epochs * per_epoch
        if struck < ramp:
            rate: float = getattr(model, rate_name(model))
            model = with_rate(model, rate * struck / ramp)
        return self._plan(model, seed)

    def _plan(self, model: FaultModel, seed: int) -> FaultPlan:
        position = None if self.position is None else Position(self.position)
        return FaultPlan(model, position=position, scale=Scale(self.scale), seed=seed)
