"""Faults in feature maps, on their way from the layer that makes them to whatever reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fault_injection.drawing import draw_features, showing
from fault_injection.errors import FaultError
from fault_injection.plan import FaultPlan, Lifetime, Scale
from fault_injection.pytorch.calls import ACTIVATIONS, LAYERS, NORMS, Function, argument, range_of
from fault_injection.pytorch.coding import Affine, affine_of_features, broken, broken_words
from fault_injection.pytorch.gradients import HitFeatures
from fault_injection.pytorch.layout import feature_places, read, write
from fault_injection.pytorch.sites import TorchSites
from fault_injection.space import Faults, Site, hits

_FOLLOWING = frozenset(ACTIVATIONS) | NORMS


@dataclass
class Injection:
    """What was done.

    Attributes:
        faults: that were put in; of intermittent ones also those that do not show at the moment.
        non_finite: values among those hit that were NaN or infinite.
    """

    faults: List[Faults] = field(default_factory=list)
    non_finite: int = 0

    @property
    def hits(self) -> int:
        """Bits or values that were hit, see :func:`fault_injection.space.hits`."""
        return hits(self.faults)


@dataclass(frozen=True)
class Step:
    """A layer's call as the mode meets it.

    Attributes:
        name: of the site.
        parameter: by which the call is known.
        site: None if the plan does not aim at it.
        follow: how many calls (normalisation, activation) come between the layer and the place of the faults.
        coding: None for floating-point words.
    """

    name: str
    parameter: str
    site: Optional[Site]
    follow: int
    coding: Optional[Affine]


class Aim:
    """A plan of faults in features, worked out for a network.

    Args:
        sites: of the network.
        plan: of features.
        selected: sites that the plan aims at.
        follow_ranges: scales are those of the batch.

    Raises:
        UnsupportedModelError: a site has not got the scale that the plan needs.
    """

    def __init__(self, sites: TorchSites, plan: FaultPlan, selected: Sequence[Site], follow_ranges: bool) -> None:
        self.follow_ranges = follow_ranges
        self.sites, self.plan, self.selected = sites, plan, selected
        by_name = {site.name: site for site in selected}
        self.steps: List[Step] = []
        for layer in sites.layers:
            site = by_name.get(layer.link.feature)
            coding = sites.feature_coding(layer, plan) if site is not None and site.bits == 8 else None
            name, follow = layer.link.feature, layer.stage(plan.position) if site is not None else 0
            self.steps.append(Step(name, layer.parameter, site, follow, coding))


class FeatureMode(TorchFunctionMode):
    """Active as a context manager, it lets the faults of a pattern into every forward pass of this thread.

    All faults of the pass are drawn when its first layer has run.

    Args:
        aim: plan and network.
        injection: gets what was done.
        pattern: number of the pattern.
        samples: of the batch; None: 0, 1, ….
        faults: instead of drawing.
    """

    def __init__(
        self,
        aim: Aim,
        injection: Injection,
        pattern: int,
        samples: Optional[Sequence[int]],
        faults: Optional[Sequence[Faults]],
    ) -> None:
        super().__init__()
        self._aim, self._injection, self._pattern = aim, injection, pattern
        self._samples, self._given = samples, faults
        self._faults: Optional[Dict[str, Faults]] = None
        self._batch = -1
        self._next = 0
        # By id of a value that a layer has made: the value (so that its id stays its own), step and calls to follow.
        self._pending: Dict[int, Tuple[Tensor, Step, int]] = {}

    def __exit__(self, *error: Any) -> None:
        """Let nothing live on."""
        self._pending.clear()
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, func: Function, types: Sequence[type], args: Tuple[Any, ...] = (), kwargs: Optional[Dict[str, Any]] = None
    ) -> Any:
        """Run the function, and put faults into what it gives if it is the place for them."""
        result = func(*args, **(kwargs or {}))
        if func in LAYERS:
            owner = self._aim.sites.owner_of(argument("weight", 1, args, kwargs or {}))
            return result if owner is None else self._after_layer(owner, result)
        if self._pending and func in _FOLLOWING and args:
            pending = self._pending.pop(id(args[0]), None)
            if pending is not None:
                return self._arrived(result, pending[1], pending[2] - 1)
        return result

    def _after_layer(self, owner: str, result: Tensor) -> Tensor:
        steps = self._aim.steps
        if owner != steps[self._next].parameter:
            if owner != steps[0].parameter:
                raise FaultError(
                    f"{owner!r} ran where {steps[self._next].parameter!r} ran when the sites were found: find the "
                    "sites of this way through the network"
                )
            self._next = 0  # whoever ran the network before gave up half-way
        if self._next == 0:
            self._begin(len(result))
        step = steps[self._next]
        self._next = (self._next + 1) % len(steps)
        if step.site is None or step.name not in self._drawn():
            return result
        return self._arrived(result, step, step.follow)

    def _begin(self, batch: int) -> None:
        self._pending.clear()
        if batch == self._batch:
            return
        samples = range(batch) if self._samples is None else self._samples
        if len(samples) != batch:
            raise FaultError(f"a batch of {batch} images, but numbers of {len(samples)} samples")
        plan = self._aim.plan
        drawn = self._given
        if drawn is None:
            drawn = draw_features(plan, self._aim.selected, self._pattern, samples)
        self._injection.faults = list(drawn)
        self._injection.non_finite = 0
        if plan.lifetime is Lifetime.INTERMITTENT:
            shown = showing(plan, self._pattern, samples)
            sizes = {site.name: site.size for site in self._aim.selected}
            drawn = [_shown(group, shown[group.elements // sizes[group.site]]) for group in drawn]
        self._faults, self._batch = {group.site: group for group in drawn if len(group)}, batch

    def _drawn(self) -> Dict[str, Faults]:
        assert self._faults is not None
        return self._faults

    def _arrived(self, value: Tensor, step: Step, follow: int) -> Tensor:
        if follow:
            self._pending[id(value)] = (value, step, follow)
            return value
        assert step.site is not None
        faults = self._drawn()[step.name]
        if value.shape[0] * step.site.size != value.numel() * (self._batch == len(value)):
            raise FaultError(
                f"the feature map {step.name!r} has the shape {tuple(value.shape)}; when the sites were found a sample "
                f"had {step.site.shape}: find the sites with inputs of this size"
            )
        places = feature_places(faults.elements, value).astype(np.intp, copy=False)  # once, not at each use
        values = read(value, places)
        if step.coding is None:
            faulty, bad = broken_words(values, faults)
        else:
            coding, scale = step.coding, self._aim.plan.scale
            if self._aim.follow_ranges:
                coding = affine_of_features(range_of(value), scale)
            assert isinstance(coding.scale, float)
            faulty, bad = broken(values, faults, coding.scale, coding, wide=scale is Scale.POWER_OF_TWO)
        self._injection.non_finite += bad
        if value.requires_grad and torch.is_grad_enabled():
            hit: Tensor = HitFeatures.apply(value, faults.elements, faulty)  # type: ignore[no-untyped-call]
            return hit
        # Fresh from a kernel and in nobody's graph: there is nobody else to see it change.
        write(value, places, faulty)
        return value


def _shown(group: Faults, kept: NDArray[np.bool_]) -> Faults:
    return Faults(group.site, group.effect, group.elements[kept], group.operands[kept])
