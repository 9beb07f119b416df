"""What fault-tolerant training is worth, and what it costs: accuracy with and without faults, over the loss's share α.

Run: ``python -m benchmarks.fault_training [--quick] [--data FOLDER] [--out FILE]``

One network, a plain residual one of 8, 16 and 32 channels, is trained alone with FTT-NAS's loss
(1 − α) · clean + α · faulty (Ning et al., eq. 3) under adSAF at 8 %, once for each α and seed; α = 0 is a training
without faults, which takes about half the time. All have the same five epochs; the first is clean, and the rate rises
over the second.

Each is judged on test images without faults and at 8 %, its weights as they would be deployed. Patterns are the same
for all of them, and none that a training has seen. Differences to α = 0 are paired by seed, with Student's interval of
their mean over seeds.

The gain *at a stated loss*: of the shares whose clean accuracy on **validation** images is at most 2 points below that
of α = 0 (means over seeds), the one with the best accuracy under faults there, by other patterns. Its figures are those
of the test images, so that the choice itself flatters nothing.

``--out`` keeps each result as a line of a file and goes on with those that are there. Needs CIFAR-10 in its binary
layout: ``--data``, or `cifar-10-batches-bin` in `$GAUNTLET_DATA`; skipped without it. ``--quick`` takes the digits.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import _cifar10
from benchmarks._records import Records
from benchmarks._report import Report, Row, Table, main
from benchmarks._stats import mean_interval
from search.data import DIGITS, Augmentation, Data, Split, load
from search.fault_training import FaultTraining
from search.spaces import Architecture, MobileSpace
from search.supernet import TrainSettings, evaluate, train_alone
from search.supernet.accuracy import evaluate_under

Array = NDArray[np.float64]

_TEST_FAULTS, _CHOICE_FAULTS = 1, 2
"""Seeds of patterns; those of trainings begin beyond three millions."""
_NAMES = ("clean", "faulty", "validation_clean", "validation_faulty", "cpu_s")


@dataclass(frozen=True)
class Study:
    """All that the figures depend on, besides the data.

    Attributes:
        space: of the network.
        network: which.
        settings: of all trainings; their faults are those for α > 0.
        alphas: shares of the loss under faults, the first one 0.
        seeds: trainings of each.
        patterns: of faults.
        images: that they are tried on.
        most_lost: clean accuracy, on validation images, that may be given up; 0–1.
    """

    space: MobileSpace
    network: str
    settings: TrainSettings
    alphas: tuple[float, ...]
    seeds: int
    patterns: int
    images: int
    most_lost: float = 0.02


def measure(study: Study, data: Data, records: Records) -> dict[float, dict[str, Array]]:
    """Train and judge, seed by seed so that what else the machine does meets all shares alike.

    Returns:
        By α: accuracies, 0–1, and processor time, each (seeds,).
    """
    found: dict[float, list[Mapping[str, float]]] = {alpha: [] for alpha in study.alphas}
    for seed in range(study.seeds):
        for alpha, made in found.items():
            made.append(records.get(f"alpha {alpha:g} seed {seed}", lambda: _trained(study, alpha, seed, data)))  # noqa: B023
    return {alpha: {name: np.array([one[name] for one in made]) for name in _NAMES} for alpha, made in found.items()}


def _trained(study: Study, alpha: float, seed: int, data: Data) -> dict[str, float]:
    assert study.settings.faults is not None
    faults = replace(study.settings.faults, alpha=alpha)
    settings = replace(study.settings, faults=faults if alpha > 0 else None)
    begin = time.process_time()
    network = train_alone(study.space, Architecture(study.network), data, settings, seed=seed)
    spent_s = time.process_time() - begin

    def under(split: Split, patterns: int) -> float:
        images = split.head(study.images)
        return evaluate_under(network, images, faults.model, seed=patterns, patterns=study.patterns).mean

    values = (
        evaluate(network, data.test).value,
        under(data.test, _TEST_FAULTS),
        evaluate(network, data.validation).value,
        under(data.validation, _CHOICE_FAULTS),
        spent_s,
    )
    return dict(zip(_NAMES, values, strict=True))


def chosen(found: Mapping[float, Mapping[str, Array]], most_lost: float) -> float:
    """The share with the best accuracy under faults among those that lose little without; both on validation images."""
    clean = {alpha: float(values["validation_clean"].mean()) for alpha, values in found.items()}
    within = [alpha for alpha in found if clean[alpha] >= clean[0.0] - most_lost]
    return max(within, key=lambda alpha: float(found[alpha]["validation_faulty"].mean()))


def tables(study: Study, found: Mapping[float, Mapping[str, Array]]) -> list[Table]:
    """The trade-off, and the gain at the stated loss."""
    plain = found[0.0]
    traded = Table(
        f"{study.network} under {study.settings.faults and study.settings.faults.model}: {study.seeds} seeds, "
        f"{study.patterns} patterns, {study.images} images"
    )
    for alpha, values in found.items():
        row: Row = {
            "α": alpha,
            "clean, %": _percent(values["clean"]),
            "faulty, %": _percent(values["faulty"]),
            "clean − that of α = 0": _points(values["clean"] - plain["clean"]),
            "95 %": _reach(values["clean"] - plain["clean"]) if alpha else None,
            "faulty − that of α = 0": _points(values["faulty"] - plain["faulty"]),
            "95 %, faulty": _reach(values["faulty"] - plain["faulty"]) if alpha else None,
            "CPU s": float(values["cpu_s"].mean()),
        }
        traded.rows.append(row)
    best = chosen(found, study.most_lost)
    gain, cost = found[best]["faulty"] - plain["faulty"], found[best]["clean"] - plain["clean"]
    stated = Table(
        f"Gain at a loss of at most {100 * study.most_lost:g} points of clean accuracy, chosen on validation images",
        [
            {
                "α": best,
                "gained under faults, points": _points(gain),
                "95 %": _reach(gain),
                "clean, points": _points(cost),
                "95 %, clean": _reach(cost),
                "verdict": _verdict(best, gain),
            }
        ],
    )
    return [traded, stated]


def _verdict(alpha: float, gain: Array) -> str:
    if not alpha:
        return "none of them stays within that loss and gains"
    interval = _reach(gain)
    if interval is None:
        return "one seed: no interval"
    return "gains" if interval[0] > 0 else "not told apart from none"


def _percent(values: Array) -> float:
    return 100 * float(values.mean())


_points = _percent


def _reach(values: Sequence[float] | Array) -> tuple[float, float] | None:
    """Interval of the mean over seeds, in points."""
    if len(values) < 2:
        return None
    low, high = mean_interval([100 * float(value) for value in values])
    return low, high


def _full() -> Study:
    space = MobileSpace((3, 16, 16), 10, stem=8, widths=((8,), (16,), (32,)), depth=2, kernels=(3,), kinds=("c",))
    settings = TrainSettings(
        epochs=5,
        learning_rate=0.1,
        weight_decay=5e-4,
        augment=Augmentation(flip=True),
        faults=FaultTraining("adSAF(p=0.08)", clean_epochs=1, ramp_epochs=1),
    )
    return Study(space, "8-c3-c3_16-c3-c3_32-c3-c3", settings, (0.0, 0.3, 0.5, 0.7, 0.9), 3, 30, 300)


def _quick(study: Study) -> Study:
    space = MobileSpace((1, 16, 16), 10, stem=4, widths=((4,), (8,), (8,)), depth=1, kernels=(3,), kinds=("c",))
    faults = FaultTraining("adSAF(p=0.08)")
    settings = replace(study.settings, epochs=1, augment=Augmentation(), faults=faults)
    small = replace(study, space=space, network="4-c3_8-c3_8-c3", settings=settings)
    return replace(small, alphas=(0.0, 0.7), seeds=2, patterns=2, images=100)


def run(quick: bool, options: argparse.Namespace | None = None) -> Report:
    options = options or _cifar10.parser().parse_args([])
    study = _full()
    data = load(DIGITS, limit=1000) if quick else _cifar10.small_cifar10(options.data)
    if data is None:
        return Report(skipped=_cifar10.absent(options.data))
    if quick:
        study = _quick(study)
    torch.set_num_threads(1)
    return Report(tables(study, measure(study, data, Records(options.out, f"{data.digest} {study}"))))


if __name__ == "__main__":
    own = _cifar10.parser()
    given, _ = own.parse_known_args()
    main(lambda quick: run(quick, given), __doc__, parents=[own])
