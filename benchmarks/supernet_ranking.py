"""How truly do inherited weights rank? Two trainings of a supernet at equal processor time, beside counting MACs.

Run: ``python -m benchmarks.supernet_ranking [--quick] [--space mobile|cells] [--data FOLDER] [--out FILE] [--pilot]``

On the mobile space BigNAS's sandwich stands beside single paths, on a space of cells CLOSE's curriculum.

A random sample of networks is trained alone, two times each; their mean accuracy on validation images is the truth.
Three supernets of each method are trained for about as many seconds of processor time (the table says how many), and
each network is judged with each supernet's weights on the same images: without faults, and under adSAF at 4 %, which
strikes weights as in Ning et al. (FTT-NAS). No network is trained under faults here. Every seed has its own patterns of
faults, shared by all networks and by both methods: the truth's would make equal luck look like agreement.

τ is Kendall's τ-b between what was inherited and the truth, averaged over a method's supernets. Its interval, and that
of the difference between two methods, comes from 2,000 resamples of the networks, the same for all that are compared:
a method *wins* if the interval of the difference lies above 0. Three supernets are too few to resample: their spread
stands beside it. MACs rank without any training; *among like MACs* counts only pairs of neighbours in MACs, about six
to a bin. The ceiling is τ between the two trainings alone; their mean may be told somewhat better.

    networks   a b c …                   ┌─ supernet 1: inherited accuracy of a b c …  → τ ┐
    truth      trained alone, seeds 1 2  ├─ supernet 2                                 → τ ├ mean
                                         └─ supernet 3                                 → τ ┘

``--pilot`` tries learning rates for both methods alike, half as long, on other networks and with another seed, and
shows the mean of inherited accuracies; what is set here was chosen by it. ``--out`` keeps each result as a line of a
file and goes on with those that are there. Needs CIFAR-10 in its binary layout: ``--data``, or `cifar-10-batches-bin`
in `$GAUNTLET_DATA`; skipped without it. ``--quick`` takes the digits.
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
from search.data import DIGITS, Augmentation, Data, load
from search.spaces import Architecture, MobileSpace
from search.spaces.base import Space
from search.spaces.nb201 import Nb201Space
from search.supernet import TrainSettings, evaluate, train, train_alone
from search.supernet.accuracy import evaluate_under
from search.supernet.agreement import equal_bins, kendall, kendall_tau
from search.supernet.audit_plan import sample_networks
from search.supernet.base import make_supernet

Array = NDArray[np.float64]

CLEAN = "clean"
_CALIBRATION = 512
_RESAMPLES = 2000
_BIN = 6
"""Networks of like MACs that are compared with one another."""
_RATES = (0.1, 0.4)
_SUPERNETS = 1_000
"""Added to seeds of supernets, so that none begins or goes on as a training alone."""


@dataclass(frozen=True)
class Study:
    """All that the figures depend on, besides the data.

    Attributes:
        space: of the networks.
        subnets: how many are compared.
        alone: how each is trained by itself.
        methods: the trainings of supernets that are compared, by name.
        alone_seeds: trainings of each network.
        supernet_seeds: supernets of each method.
        condition: the faults; patterns of them; images that they are tried on.
        seed: of the sample and of all trainings.
    """

    space: Space
    subnets: int
    alone: TrainSettings
    methods: Mapping[str, TrainSettings]
    alone_seeds: int
    supernet_seeds: int
    condition: str = "adSAF(p=0.04)"
    patterns: int = 20
    images: int = 200
    seed: int = 0


@dataclass(frozen=True)
class Judged:
    """Accuracies of the sample.

    Attributes:
        values: by condition, (trainings, networks), 0–1.
        cpu_s: processor time of each training.
    """

    values: Mapping[str, Array]
    cpu_s: tuple[float, ...]


@dataclass(frozen=True)
class Estimate:
    """A figure, with its 95 % interval over resamples of the networks."""

    value: float | None
    interval: tuple[float, float] | None


def judge_alone(study: Study, networks: Sequence[Architecture], data: Data, records: Records) -> Judged:
    """Train each network by itself."""
    made = [
        [records.get(f"alone {seed} {network}", lambda: _alone(study, network, data, seed)) for network in networks]  # noqa: B023
        for seed in range(study.alone_seeds)
    ]
    values = {name: np.array([[one[name] for one in row] for row in made]) for name in (CLEAN, study.condition)}
    return Judged(values, tuple(one["cpu_s"] for row in made for one in row))


def judge_inherited(study: Study, networks: Sequence[Architecture], data: Data, records: Records) -> dict[str, Judged]:
    """Train all supernets, seed by seed so that what else the machine does meets all methods alike."""
    made: dict[str, list[dict[str, object]]] = {name: [] for name in study.methods}
    for seed in range(study.supernet_seeds):
        for name, settings in study.methods.items():
            key = f"supernet {seed} {name}"
            made[name].append(records.get(key, lambda: _supernet(study, settings, networks, data, seed)))  # noqa: B023
    return {
        name: Judged(
            {condition: np.array([one[condition] for one in rows]) for condition in (CLEAN, study.condition)},
            tuple(float(str(one["cpu_s"])) for one in rows),
        )
        for name, rows in made.items()
    }


def _alone(study: Study, network: Architecture, data: Data, seed: int) -> dict[str, object]:
    begin = time.process_time()
    seed += 100 * study.seed
    trained = train_alone(study.space, network, data, study.alone, seed=seed)
    spent_s = time.process_time() - begin
    clean, faulty = _judged(study, trained, data, seed)
    return {"cpu_s": spent_s, CLEAN: clean, study.condition: faulty}


def _supernet(
    study: Study, settings: TrainSettings, networks: Sequence[Architecture], data: Data, seed: int
) -> dict[str, object]:
    seed += _SUPERNETS + 100 * study.seed
    supernet = make_supernet(study.space, seed, sets=settings.sets)
    begin = time.process_time()
    train(supernet, data, replace(settings, seed=seed))
    spent_s = time.process_time() - begin
    calibration = data.train.head(_CALIBRATION).images
    clean, faulty = zip(
        *(_judged(study, supernet.subnet(network, calibration), data, seed) for network in networks), strict=True
    )
    return {"cpu_s": spent_s, "mean": float(np.mean(clean)), CLEAN: clean, study.condition: faulty}


def _judged(study: Study, network: torch.nn.Module, data: Data, seed: int) -> tuple[float, float]:
    """Accuracy on validation images without faults and with them.

    Patterns are those of a seed: the same for all networks and both methods, and others than the truth's.
    """
    images = data.validation.head(study.images)
    faulty = evaluate_under(network, images, study.condition, seed=seed, patterns=study.patterns)
    return evaluate(network, data.validation).value, faulty.mean


def resampled(contenders: Mapping[str, Array], truth: Array, seed: int = 0) -> dict[str, Array]:
    """τ of each contender over the same resamples of the networks.

    Args:
        contenders: (trainings, networks); τ is averaged over the trainings.
        truth: (networks,).
        seed: of the resampling.

    Returns:
        (resamples,), NaN where something does not vary.
    """
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(truth), size=(_RESAMPLES, len(truth)))
    return {
        name: np.array([_or_nan(mean_tau(rows[:, drawn], truth[drawn])) for drawn in draws])
        for name, rows in contenders.items()
    }


def mean_tau(rows: Array, truth: Array, bins: NDArray[np.int64] | None = None) -> float | None:
    """Averaged over the rows, over pairs within bins only if there are bins; None where something does not vary."""
    taus = [found.value for row in rows if (found := kendall(row, truth, bins)) is not None]
    return float(np.mean(taus)) if len(taus) == len(rows) else None


def estimate(value: float | None, draws: Array) -> Estimate:
    """A figure with the percentiles of its resamples."""
    left = draws[np.isfinite(draws)]
    if value is None or not len(left):
        return Estimate(value, None)
    low, high = np.percentile(left, [2.5, 97.5])
    return Estimate(value, (float(low), float(high)))


def verdict(name: str, rival: str, gain: Estimate) -> str:
    """Who wins, or that nobody does."""
    if gain.interval is None:
        return "nothing to rank"
    low, high = gain.interval
    if low > 0:
        return f"{name} wins"
    return f"{rival} wins" if high < 0 else f"{name} does not win, nor does {rival}"


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def tables(
    study: Study, networks: Sequence[Architecture], alone: Judged, inherited: Mapping[str, Judged]
) -> list[Table]:
    """Who ranks how well, and who better than whom, by condition."""
    macs = np.array([[float(study.space.macs(network)) for network in networks]])
    bins = equal_bins(macs[0], _BIN)
    made: list[Table] = []
    for condition in (CLEAN, study.condition):
        seeds = alone.values[condition]
        truth = seeds.mean(axis=0)
        contenders = {name: judged.values[condition] for name, judged in inherited.items()} | {"MACs": macs}
        draws = resampled(contenders, truth)
        ranks = Table(
            f"{condition}: {len(networks)} networks, {study.supernet_seeds} supernets of each method",
            notes=[
                "CPU s: of one supernet; of one training alone of all networks",
                f"trained alone: {100 * truth.min():.1f} to {100 * truth.max():.1f} %, standard deviation "
                f"{100 * truth.std(ddof=1):.1f} points; of one training, from seed to seed, {_noise(seeds)}",
            ],
        )
        for name, rows in contenders.items():
            of = estimate(mean_tau(rows, truth), draws[name])
            each = [tau for row in rows if (tau := kendall_tau(row, truth)) is not None]
            judged = inherited.get(name)
            ranks.rows.append(
                {
                    "ranked by": name,
                    "CPU s": None if judged is None else float(np.mean(judged.cpu_s)),
                    "mean accuracy, %": None if judged is None else 100 * float(rows.mean()),
                    "τ": of.value,
                    "95 %": of.interval,
                    "among like MACs": mean_tau(rows, truth, bins),
                    "of single ones": (min(each), max(each)) if judged is not None and each else None,
                }
            )
        ranks.rows.append(_ceiling(alone, condition))
        gains = Table(f"{condition}: differences in τ, the same networks")
        names = list(contenders)
        for place, name in enumerate(names):
            for rival in names[place + 1 :]:
                one, other = mean_tau(contenders[name], truth), mean_tau(contenders[rival], truth)
                value = None if one is None or other is None else one - other
                gain = estimate(value, draws[name] - draws[rival])
                row: Row = {
                    "": f"{name} − {rival}",
                    "difference": gain.value,
                    "95 %": gain.interval,
                    "verdict": verdict(name, rival, gain),
                }
                gains.rows.append(row)
        made += [ranks, gains]
    return made


def _ceiling(alone: Judged, condition: str) -> Row:
    rows = alone.values[condition]
    row: Row = {
        "ranked by": "trained alone, another seed",
        "CPU s": float(np.sum(alone.cpu_s)) / len(rows),
        "mean accuracy, %": 100 * float(rows.mean()),
    }
    if len(rows) < 2:
        return row
    draws = resampled({"": rows[1:2]}, rows[0])[""]
    of = estimate(mean_tau(rows[1:2], rows[0]), draws)
    return {**row, "τ": of.value, "95 %": of.interval}


def _noise(seeds: Array) -> str:
    if len(seeds) < 2:
        return "unknown"
    return f"{100 * np.sqrt(seeds.var(axis=0, ddof=1).mean()):.1f}"


_AUGMENT = Augmentation(flip=True)
_ALONE = TrainSettings(epochs=3, learning_rate=0.1, weight_decay=5e-4, augment=_AUGMENT)
_SHARED = TrainSettings(epochs=26, learning_rate=0.1, augment=_AUGMENT)
_STUDIES = {
    "mobile": Study(
        MobileSpace((3, 16, 16), 10, widths=((2, 8, 16), (4, 8, 32), (4, 16, 64)), kernels=(3, 5)),
        30,
        _ALONE,
        {
            "sandwich": replace(_SHARED, method="sandwich", epochs=6, learning_rate=0.4),
            "single-path": replace(_SHARED, method="single-path"),
        },
        alone_seeds=2,
        supernet_seeds=3,
    ),
    "cells": Study(
        Nb201Space((3, 16, 16), 10, channels=8, cells=1),
        30,
        _ALONE,
        {name: replace(_SHARED, method=name, epochs=18) for name in ("close", "single-path")},
        alone_seeds=2,
        supernet_seeds=3,
    ),
}


def _pilot(study: Study) -> Study:
    """Every method with every learning rate, on other networks and with another seed."""
    methods = {
        f"{name}, rate {rate:g}": replace(settings, learning_rate=rate, epochs=-(-settings.epochs // 2))
        for name, settings in study.methods.items()
        for rate in _RATES
    }
    return replace(study, subnets=10, methods=methods, supernet_seeds=1, seed=study.seed + 1)


def tried(inherited: Mapping[str, Judged]) -> Table:
    """What a pilot has found."""
    rows: list[Row] = [
        {
            "trained by": name,
            "CPU s": float(np.mean(judged.cpu_s)),
            "mean accuracy, %": 100 * float(judged.values[CLEAN].mean()),
            "standard deviation over networks": 100 * float(judged.values[CLEAN].std(axis=1, ddof=1).mean()),
        }
        for name, judged in inherited.items()
    ]
    return Table("Pilot: inherited accuracy", rows)


_SMALL = {
    "mobile": MobileSpace((1, 16, 16), 10, stem=4, widths=((4, 8), (4, 8), (4, 8)), depth=1, kernels=(3,)),
    "cells": Nb201Space((1, 16, 16), 10, channels=4, cells=1),
}


def _quick(study: Study, space: Space) -> Study:
    return replace(
        study,
        space=space,
        subnets=4,
        alone=replace(study.alone, epochs=1, augment=Augmentation()),
        methods={name: replace(s, epochs=3, augment=Augmentation()) for name, s in study.methods.items()},
        supernet_seeds=2,
        patterns=2,
        images=100,
    )


def run(quick: bool, options: argparse.Namespace | None = None) -> Report:
    options = options or parser().parse_args([])
    study = _STUDIES[options.space]
    data = load(DIGITS, limit=320) if quick else _cifar10.small_cifar10(options.data)
    if data is None:
        return Report(skipped=_cifar10.absent(options.data))
    if quick:
        study = _quick(study, _SMALL[options.space])
    if options.pilot:
        study = _pilot(study)
    torch.set_num_threads(1)
    networks = sample_networks(study.space, study.subnets, study.seed)
    records = Records(options.out, f"{data.digest} {study}")
    if options.pilot:
        return Report([tried(judge_inherited(study, networks, data, records))])
    alone = judge_alone(study, networks, data, records)
    inherited = judge_inherited(study, networks, data, records)
    return Report(tables(study, networks, alone, inherited))


def parser() -> argparse.ArgumentParser:
    """Options of this benchmark alone."""
    made = argparse.ArgumentParser(add_help=False, parents=[_cifar10.parser()])
    made.add_argument("--space", choices=tuple(_STUDIES), default="mobile", help="of the networks (mobile)")
    made.add_argument("--pilot", action="store_true", help="choose settings instead, on other networks and seeds")
    return made


if __name__ == "__main__":
    own = parser()
    given, _ = own.parse_known_args()
    main(lambda quick: run(quick, given), __doc__, parents=[own])
