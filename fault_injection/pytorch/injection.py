"""Faults in a running torch network.

>>> sites = find_sites(network, images[:64])
>>> with torch.no_grad(), inject(sites, plan, pattern=7, samples=range(128)) as injection:
...     logits = network(images)
>>> injection.hits

With gradients disabled, weights are overwritten in place and put back bit by bit when the context ends, however it
ends. With gradients enabled they stay as they are, and layers are given faulty copies, through which what is hit gets
no gradient. Feature maps are changed on their way, by a mode of torch that sees the calls of the thread that entered
the context: nothing is hooked into the network. Where autograd needs the map, again a copy is changed.

Contexts may be nested for mixed faults: the inner one finds the memory as the outer one left it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Optional, Sequence

from fault_injection.errors import NoSuchTargetError
from fault_injection.models import Place
from fault_injection.plan import FaultPlan
from fault_injection.pytorch.features import Aim, FeatureMode, Injection
from fault_injection.pytorch.memory import claimed
from fault_injection.pytorch.sites import TorchSites
from fault_injection.pytorch.weights import WeightInjector
from fault_injection.replay import FaultRecord
from fault_injection.space import Faults, check, part_of_batch


class Injector:
    """A plan aimed at a network, for as many patterns as one likes.

    Args:
        sites: of the network.
        plan: what to break.
        follow_ranges: take the scale of a feature map from each batch anew instead of from when sites were found, as
            training needs.

    Attributes:
        selected: the sites that the plan aims at.

    Raises:
        FaultError: the plan does not fit the network.
    """

    def __init__(self, sites: TorchSites, plan: FaultPlan, *, follow_ranges: bool = False) -> None:
        self.sites, self.plan = sites, plan
        self.selected = sites.select(plan)
        if plan.place is Place.WEIGHTS:
            self._weights = WeightInjector(sites, plan, self.selected)
        else:
            self._aim = Aim(sites, plan, self.selected, follow_ranges)

    @contextmanager
    def inject(
        self, pattern: int, samples: Optional[Sequence[int]] = None, *, faults: Optional[Sequence[Faults]] = None
    ) -> Iterator[Injection]:
        """Break the network while the context lasts.

        Args:
            pattern: number of the pattern.
            samples: numbers of the batch's images in the data set, which decide their faults; None: 0, 1, …. A pattern
                of weights needs them only if its faults do not last: transient ones one sample at a time.
            faults: to inject instead of drawing; elements of features count through the batch.

        Yields:
            What was done. In features it is known once the network has run.

        Raises:
            FaultError: another thread breaks the network already, or the faults differ within a batch of weights.
        """
        if faults is not None:
            check(faults, self.selected, 1 if self.plan.place is Place.WEIGHTS else max(1, len(samples or (0,))))
        with claimed(self.sites):
            if self.plan.place is Place.WEIGHTS:
                with self._weights.inject(pattern, samples, faults) as injection:
                    yield injection
            else:
                self.sites.look_up()
                injection = Injection()
                with FeatureMode(self._aim, injection, pattern, samples, faults):
                    yield injection


@contextmanager
def inject(
    sites: TorchSites, plan: FaultPlan, pattern: int, samples: Optional[Sequence[int]] = None
) -> Iterator[Injection]:
    """Break a network once; see :meth:`Injector.inject`."""
    with Injector(sites, plan).inject(pattern, samples) as injection:
        yield injection


@contextmanager
def replay(
    sites: TorchSites, record: FaultRecord, pattern: int, samples: Optional[range] = None
) -> Iterator[Injection]:
    """Inject what a file says, drawing nothing.

    Args:
        sites: of the network.
        record: patterns for it.
        pattern: one of them.
        samples: of features, which of the record's samples the batch is, without gaps; None: all.

    Raises:
        NoSuchTargetError: the record has no such pattern or samples.
        FaultError: see :meth:`Injector.inject`.
    """
    if pattern not in record.patterns:
        have = ", ".join(str(number) for number in sorted(record.patterns)[:5]) or "none"
        raise NoSuchTargetError(f"the file of faults has no pattern {pattern}; it has: {have}")
    faults: Sequence[Faults] = record.patterns[pattern]
    if record.plan.place is Place.FEATURES:
        samples = range(record.samples) if samples is None else samples
        if samples.step != 1 or samples.start < 0 or samples.stop > record.samples:
            raise NoSuchTargetError(f"the file of faults covers samples 0 to {record.samples - 1}, not {samples}")
        faults = part_of_batch(faults, record.sites, samples.start, len(samples))
    with Injector(sites, record.plan).inject(pattern, samples, faults=faults) as injection:
        yield injection
