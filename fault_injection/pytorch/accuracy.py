"""How right a torch network is under faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fault_injection.drawing import showing
from fault_injection.errors import FaultError
from fault_injection.models import Place
from fault_injection.plan import FaultPlan, Lifetime
from fault_injection.pytorch.injection import Injector, replay
from fault_injection.pytorch.sites import TorchSites
from fault_injection.replay import FaultRecord
from fault_injection.space import digest, fingerprint_of_features

Forward = Callable[[Tensor], Tensor]

_BEST = 5


@dataclass(frozen=True, eq=False)
class PatternOutcome:
    """What one pattern of faults did to a data set.

    Attributes:
        pattern: its number.
        faults: that were put in.
        digest: fingerprint of the pattern, of features of its first sample, as devices have it.
        right: for each image, is the answer right, with finite scores; bool, shape (images,).
        changed: images whose class differs from the clean network's (SDC-1).
        critical: images that the clean network has right and the faulty one wrong.
        outside_top5: images whose class is none of the clean network's best five (SDC-5); None for less than six
            classes.
        non_finite: images whose scores have NaN or infinity; these count as wrong.
        non_finite_values: values that were NaN or infinite where faults hit them.
    """

    pattern: int
    faults: int
    digest: str
    right: NDArray[np.bool_]
    changed: int
    critical: int
    outside_top5: Optional[int]
    non_finite: int
    non_finite_values: int

    @property
    def accuracy(self) -> float:
        """Share of images answered rightly, 0-1."""
        return float(self.right.mean())


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A network with and without faults.

    Attributes:
        clean: for each image, is the answer right without faults; bool, shape (images,).
        patterns: in the order that was asked for.
    """

    clean: NDArray[np.bool_]
    patterns: List[PatternOutcome]

    @property
    def right_patterns(self) -> NDArray[np.int64]:
        """For each image the number of patterns under which it is right, shape (images,)."""
        total: NDArray[np.int64] = np.sum([outcome.right for outcome in self.patterns], axis=0, dtype=np.int64)
        return total


def evaluate(
    sites: TorchSites,
    plan: FaultPlan,
    patterns: Sequence[int],
    images: Tensor,
    labels: Tensor,
    batch_size: int = 128,
    *,
    forward: Optional[Forward] = None,
    record: Optional[FaultRecord] = None,
) -> Evaluation:
    """Run images under patterns of faults. The size of batches changes speed, no fault.

    Args:
        sites: of the network, which is run as it is: put it into evaluation mode first.
        plan: what breaks.
        patterns: their numbers.
        images: (images, …); their places are the samples' numbers.
        labels: classes, (images,).
        batch_size: images to a call.
        forward: how to run the network, if not by calling it; gives scores (N, classes).
        record: inject what this file says, drawing nothing; it must hold all patterns and images.

    Raises:
        FaultError: the plan does not fit the network, no images, or a record of another plan.
    """
    if not len(images) or len(images) != len(labels):
        raise FaultError(f"{len(images)} images and {len(labels)} labels: there must be as many, and some")
    if record is not None and record.plan != plan:
        raise FaultError("the file of faults was drawn by another plan")
    runs = _Runs(Injector(sites, plan), images, batch_size, forward or sites.module, record)
    truth = labels.cpu().numpy()
    with torch.no_grad():
        runs.golden = torch.cat([runs.forward(images[part.start : part.stop]) for part in runs.batches])
        clean = _Answers(runs.golden, truth)
        return Evaluation(clean.right, [_compare(pattern, *runs.broken(pattern), clean, truth) for pattern in patterns])


class _Runs:
    """All images through a broken network, pattern by pattern."""

    def __init__(
        self, injector: Injector, images: Tensor, batch_size: int, forward: Forward, record: Optional[FaultRecord]
    ) -> None:
        self._injector, self._images, self._record = injector, images, record
        self.forward, self.golden = forward, torch.empty(0)
        self.batches = [
            range(start, min(start + batch_size, len(images))) for start in range(0, len(images), batch_size)
        ]

    def broken(self, pattern: int) -> Tuple[Tensor, _Done]:
        """Scores of all images, and what was done to get them."""
        plan, every, done = self._injector.plan, range(len(self._images)), _Done()
        if plan.place is Place.FEATURES:
            return torch.cat([self._run(pattern, part, [part], done) for part in self.batches]), done
        if plan.lifetime is Lifetime.TRANSIENT:  # each image has weights of its own
            if self._record is not None:
                raise FaultError("transient faults of weights differ from sample to sample: no file holds them")
            alone = [range(index, index + 1) for index in every]
            return torch.cat([self._run(pattern, part, [part], done) for part in alone]), done
        scores = self.golden.clone()
        shown = np.flatnonzero(showing(plan, pattern, every))
        if len(shown):
            one = range(int(shown[0]), int(shown[0]) + 1)
            scores[shown] = self._run(pattern, one, self.batches, done)[shown]
        return scores, done

    def _run(self, pattern: int, samples: range, parts: Sequence[range], done: _Done) -> Tensor:
        """Scores of some images under the faults of some samples."""
        if self._record is None:
            injecting = self._injector.inject(pattern, samples)
        else:
            injecting = replay(self._injector.sites, self._record, pattern, samples)
        with injecting as injection:
            scores = torch.cat([self.forward(self._images[part.start : part.stop]) for part in parts])
        done.faults += injection.hits
        done.non_finite_values += injection.non_finite
        if not done.digest:
            features = self._injector.plan.place is Place.FEATURES
            faults = injection.faults
            done.digest = fingerprint_of_features(faults, self._injector.selected) if features else digest(faults)
        return scores


@dataclass
class _Done:
    faults: int = 0
    non_finite_values: int = 0
    digest: str = ""


class _Answers:
    def __init__(self, scores: Tensor, labels: NDArray[np.int64]) -> None:
        numbers = scores.float().cpu().numpy()
        self.finite: NDArray[np.bool_] = np.isfinite(numbers).all(axis=1)
        self.classes = np.nan_to_num(numbers).argmax(axis=1)
        self.right: NDArray[np.bool_] = (self.classes == labels) & self.finite
        self.best = np.argsort(-numbers, axis=1, kind="stable")[:, :_BEST] if numbers.shape[1] > _BEST else None


def _compare(pattern: int, scores: Tensor, done: _Done, clean: _Answers, labels: NDArray[np.int64]) -> PatternOutcome:
    faulty = _Answers(scores, labels)
    outside = None
    if clean.best is not None:
        outside = int(np.count_nonzero((clean.best != faulty.classes[:, None]).all(axis=1)))
    return PatternOutcome(
        pattern=pattern,
        faults=done.faults,
        digest=done.digest,
        right=faulty.right,
        changed=int(np.count_nonzero(faulty.classes != clean.classes)),
        critical=int(np.count_nonzero(clean.right & ~faulty.right)),
        outside_top5=outside,
        non_finite=int(np.count_nonzero(~faulty.finite)),
        non_finite_values=done.non_finite_values,
    )
