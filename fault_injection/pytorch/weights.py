"""Faults in weights: in place with undo, or in copies that autograd knows about."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fault_injection.drawing import draw_weights, showing
from fault_injection.errors import FaultError
from fault_injection.plan import FaultPlan, Lifetime, Scale
from fault_injection.pytorch.calls import LAYERS, Function, argument
from fault_injection.pytorch.coding import FloatArray, broken_bytes, broken_words
from fault_injection.pytorch.features import Injection
from fault_injection.pytorch.gradients import HitWeights
from fault_injection.pytorch.layout import plain_memory, read, write
from fault_injection.pytorch.memory import WeightMemory
from fault_injection.pytorch.sites import TorchSites
from fault_injection.space import Faults, Site

_BYTE = 8


class WeightInjector:
    """A plan of faults in weights, worked out for a network.

    Args:
        sites: of the network.
        plan: of weights.
        selected: sites that the plan aims at.
    """

    def __init__(self, sites: TorchSites, plan: FaultPlan, selected: Sequence[Site]) -> None:
        self._sites, self._plan, self._selected = sites, plan, selected
        self._by_name = {site.name: site for site in selected}
        self._memory: Optional[WeightMemory] = None
        self._arrays: Dict[str, Tuple[int, Optional[FloatArray]]] = {}
        if selected[0].bits == _BYTE:
            self._memory = sites.memories.setdefault(plan.scale, WeightMemory(sites, plan.scale))

    @contextmanager
    def inject(
        self, pattern: int, samples: Optional[Sequence[int]], given: Optional[Sequence[Faults]]
    ) -> Iterator[Injection]:
        """See :meth:`~fault_injection.pytorch.injection.Injector.inject`."""
        with ExitStack() as undo:
            _enter_alike(undo, self._sites, self._memory)
            parameters = self._sites.parameters()
            if self._memory is not None:
                self._memory.refresh(parameters)
            faults = self._draw(pattern, samples) if given is None else given
            injection = Injection(list(faults))
            if torch.is_grad_enabled():
                copies: Dict[str, Tensor] = {}
                for group in faults:
                    injection.non_finite += self._copy(group, parameters, copies, undo)
                # All at once, and the mode last: it would see every call that looks up where a layer's weights lie.
                undo.callback(self._sites.substitute, {name: self._sites.substitutes.get(name) for name in copies})
                self._sites.substitute(copies)
                undo.enter_context(_SubstituteMode(self._sites))
            else:
                undo.callback(self._seen, parameters, faults)
                for group in faults:
                    injection.non_finite += self._overwrite(group, parameters, undo)
                self._seen(parameters, faults)
            yield injection

    def _draw(self, pattern: int, samples: Optional[Sequence[int]]) -> List[Faults]:
        plan = self._plan
        sample = 0
        if plan.lifetime is not Lifetime.PERMANENT:
            if samples is None:
                raise FaultError("faults of weights that do not last need the numbers of the samples")
            if plan.lifetime is Lifetime.INTERMITTENT:
                shown = showing(plan, pattern, samples)
                if not shown.any():
                    return []
                if not shown.all():
                    raise FaultError("these faults of weights show in some of the samples only: run those apart")
            elif len(samples) != 1:
                raise FaultError("transient faults of weights differ from sample to sample: run one at a time")
            else:
                sample = samples[0]
        contents = {} if self._memory is None else self._memory.contents
        return draw_weights(plan, self._selected, contents, pattern, sample)

    def _break(self, group: Faults, values: FloatArray, undo: ExitStack) -> Tuple[FloatArray, int]:
        """What hit weights become; the memory holds it from now on."""
        if self._memory is None:
            return broken_words(values, group)
        content, site = self._memory.contents[group.site], self._by_name[group.site]
        stored = content.take(group.elements)
        coding, steps = self._memory.coding(group.site), self._memory.steps(site, group.elements)
        faulty, content[group.elements] = broken_bytes(
            stored, group, steps, coding, self._plan.scale is Scale.POWER_OF_TWO
        )
        undo.callback(content.__setitem__, group.elements, stored)
        return faulty, 0

    def _overwrite(self, group: Faults, parameters: Dict[str, Tensor], undo: ExitStack) -> int:
        weight = self._sites.weights[group.site]
        parameter, places = parameters[weight.parameter], weight.places.take(group.elements)
        array = self._array(weight.parameter, parameter)
        before = read(parameter, places) if array is None else array.take(places)
        faulty, bad = self._break(group, before, undo)
        if array is None:
            undo.callback(write, parameter, places, before)
            write(parameter, places, faulty)
        else:
            undo.callback(array.__setitem__, places, before)
            array[places] = faulty
        return bad

    def _array(self, name: str, parameter: Tensor) -> Optional[FloatArray]:
        """The memory of a parameter, if numpy can write to it."""
        known = self._arrays.get(name)
        if known is None or known[0] != parameter.data_ptr():
            known = self._arrays[name] = (parameter.data_ptr(), plain_memory(parameter))
        return known[1]

    def _copy(self, group: Faults, parameters: Dict[str, Tensor], copies: Dict[str, Tensor], undo: ExitStack) -> int:
        name = self._sites.weights[group.site].parameter
        places = self._sites.weights[group.site].places.take(group.elements)
        values = copies.get(name, self._sites.substitutes.get(name, parameters[name]))
        faulty, bad = self._break(group, read(values, places), undo)
        copies[name] = HitWeights.apply(values, places, faulty)  # type: ignore[no-untyped-call]
        return bad

    def _seen(self, parameters: Dict[str, Tensor], faults: Sequence[Faults]) -> None:
        """Tell autograd that weights have changed: a graph that holds them must not be gone through any more."""
        for group in faults:
            torch.autograd.graph.increment_version(parameters[self._sites.weights[group.site].parameter])
        if self._memory is not None:
            self._memory.keep(parameters, [group.site for group in faults])


def _enter_alike(undo: ExitStack, sites: TorchSites, memory: Optional[WeightMemory]) -> None:
    """Faults upon faults must mean the same memory."""
    if any(other is not memory for other in sites.active):
        raise FaultError("faults upon faults in weights must have the same width and scale")
    sites.active.append(memory)
    undo.callback(sites.active.pop)


class _SubstituteMode(TorchFunctionMode):
    """Gives layers the faulty copies of their parameters."""

    def __init__(self, sites: TorchSites) -> None:
        super().__init__()
        self._sites = sites

    def __torch_function__(
        self, func: Function, types: Sequence[type], args: Tuple[Any, ...] = (), kwargs: Optional[Dict[str, Any]] = None
    ) -> Any:
        """Run the function with faulty weights, if it is a layer."""
        kwargs = kwargs or {}
        if func in LAYERS:
            weight = argument("weight", 1, args, kwargs)
            faulty = self._sites.substitute_for(weight)
            if faulty is not None:
                if len(args) > 1:
                    args = (args[0], faulty, *args[2:])
                else:
                    kwargs = {**kwargs, "weight": faulty}
        return func(*args, **kwargs)
