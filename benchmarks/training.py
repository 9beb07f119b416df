"""What does the training engine cost? Its steps against plain loops, and what faults and variations of images add.

Run: ``python -m benchmarks.training [--quick]``

    round 1                  round 2
    A  B  C  …  C  B  A      A  B  C  …         processor time of a step, each arm twice in a round
    └ a drift of the machine falls on all alike ┘   ratio of a round: to the first arm's time of that round

*Supernets*, by either method. The engine is `search.supernet.train` as a campaign calls it: it draws the networks of a
step, gathers and varies batches, looks whether losses and gradients are finite, counts progress and keeps checkpoints
in between. A plain loop does no more than forward, loss, backward, clipping and the optimizer's step, with the same
networks and targets in the same order. Over *networks*, it trains them as plain torch modules that are there
beforehand, each with weights and an optimizer of its own; over the *supernet*, through the supernet's forward, so that
only the engine differs. Target: at most 10 % above plain networks.

*A network alone*: `train_alone` on ResNet-20 against a plain loop, then with all variations of images, and under
faults, which strike from the first step on. Target: a step under adSAF at 8 % takes at most 2.2 clean steps; two passes
alone are two.

Images are random numbers, 3 × 16 × 16, 64 a step, for time does not hang on what they show. The first step of each
segment is left out, and with it what a training does once; 5 rounds of 2 × 4 steps; medians over the rounds, the
interval by bootstrap over them. One thread.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from benchmarks import _stats
from benchmarks._ftt_networks import baseline
from benchmarks._ftt_settings import RESNET
from benchmarks._report import Report, Row, Table, main
from search.data import Augmentation, Data, Split
from search.fault_training import FaultTraining
from search.spaces import MobileSpace
from search.supernet import Progress, Supernet, TrainSettings, train, train_alone

SHAPE, CLASSES, BATCH = (3, 16, 16), 10, 64
MOST_OVERHEAD, MOST_FAULTS = 1.10, 2.2
SPACE = MobileSpace(SHAPE, CLASSES, stem=16, widths=((16, 32), (32, 64), (64, 128)), depth=2)
_NETWORKS = 1
"""The engine's stream of random numbers for the networks of a step."""
#: Makes one segment of a training; gives the processor seconds of a step.
Arm = Callable[[], float]


def made_up(steps: int) -> Data:
    """Random images, so many steps of them."""
    rng = np.random.default_rng(0)

    def split(n: int) -> Split:
        images = torch.from_numpy(rng.random((n, *SHAPE), np.float32))
        return Split(images, torch.arange(n) % CLASSES)

    return Data("made up", split(steps * BATCH), split(BATCH), split(BATCH), CLASSES)


class Watch:
    """Takes the time between the first step and the last; pass it as ``progress``."""

    def __init__(self) -> None:
        self.step_s = 0.0
        self._began_s = 0.0

    def __call__(self, progress: Progress) -> None:
        """A step was done."""
        if progress.step == 1:
            self._began_s = time.process_time()
        elif progress.step == progress.steps:
            self.step_s = (time.process_time() - self._began_s) / (progress.steps - 1)


def optimizer(module: nn.Module) -> torch.optim.SGD:
    """The engine's kind."""
    return torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)


def loop(step: Callable[[int], None], steps: int) -> float:
    """Processor seconds of a step, the first one left out."""
    step(0)
    began_s = time.process_time()
    for number in range(1, steps):
        step(number)
    return (time.process_time() - began_s) / (steps - 1)


def supernet_arms(settings: TrainSettings, data: Data, folder: Path) -> Mapping[str, Arm]:
    """Plain networks, plain supernet, engine; all of them the same networks step by step."""
    steps = len(data.train) // BATCH
    images = data.train.images.contiguous(memory_format=torch.channels_last)
    draws = [np.random.default_rng([settings.seed, _NETWORKS, step]) for step in range(steps)]
    if settings.method == "sandwich":
        drawn = [
            [SPACE.largest(rng), SPACE.smallest(rng), *(SPACE.sample(rng) for _ in range(settings.random_subnets))]
            for rng in draws
        ]
    else:
        drawn = [[SPACE.sample(rng)] for rng in draws]

    def lessons(run: Callable[[int, Tensor], Tensor], networks: int, number: int) -> None:
        here = slice(number * BATCH, (number + 1) * BATCH)
        labels, target = data.train.labels[here], data.train.labels[here]
        for network in range(networks):
            logits = run(network, images[here])
            F.cross_entropy(logits, target).backward()
            if network == 0 and networks > 1:
                certain = F.one_hot(labels, CLASSES).float()
                target = torch.lerp(logits.detach().softmax(1), certain, settings.label_share)

    def plain_networks() -> float:
        modules = [[SPACE.module(architecture).train() for architecture in of_step] for of_step in drawn]
        for module in (module for of_step in modules for module in of_step):
            module.to(memory_format=torch.channels_last)
        optimizers = [[optimizer(module) for module in of_step] for of_step in modules]

        def step(number: int) -> None:
            for of_network in optimizers[number]:
                of_network.zero_grad(set_to_none=True)
            lessons(lambda network, batch: modules[number][network](batch), len(drawn[number]), number)
            for module, of_network in zip(modules[number], optimizers[number], strict=True):
                nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
                of_network.step()

        return loop(step, steps)

    def plain_supernet() -> float:
        supernet = Supernet(SPACE)
        descent = optimizer(supernet)

        def step(number: int) -> None:
            descent.zero_grad(set_to_none=True)
            lessons(lambda network, batch: supernet(batch, drawn[number][network]), len(drawn[number]), number)
            nn.utils.clip_grad_norm_(supernet.parameters(), settings.clip)
            descent.step()

        return loop(step, steps)

    def engine() -> float:
        watch, checkpoint = Watch(), folder / "supernet.pt"
        checkpoint.unlink(missing_ok=True)
        train(Supernet(SPACE), data, settings, checkpoint=checkpoint, progress=watch)
        return watch.step_s

    return {"plain networks": plain_networks, "plain supernet": plain_supernet, "engine": engine}


def alone_arms(settings: TrainSettings, data: Data) -> Mapping[str, Arm]:
    """A plain loop over a network, and the engine without and with what makes it slower."""
    space = baseline(RESNET, SHAPE, CLASSES)
    architecture = space.sample(np.random.default_rng(0))
    images = data.train.images.contiguous(memory_format=torch.channels_last)

    def plain() -> float:
        network = space.module(architecture).train()
        network.to(memory_format=torch.channels_last)
        descent = optimizer(network)

        def step(number: int) -> None:
            here = slice(number * BATCH, (number + 1) * BATCH)
            descent.zero_grad(set_to_none=True)
            F.cross_entropy(network(images[here]), data.train.labels[here]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
            descent.step()

        return loop(step, len(images) // BATCH)

    def engine(settings: TrainSettings) -> Arm:
        def arm() -> float:
            watch = Watch()
            train_alone(space, architecture, data, settings, seed=0, progress=watch)
            return watch.step_s

        return arm

    def under(model: str, **how: str) -> Arm:
        return engine(replace(settings, faults=FaultTraining(model, **how)))

    return {
        "engine": engine(settings),
        "plain loop": plain,
        "engine, images varied": engine(replace(settings, augment=Augmentation(crop=2, flip=True, cutout=4))),
        "engine, adSAF(p=0.08)": under("adSAF(p=0.08)"),
        "engine, iBF(p=0.001)": under("iBF(p=0.001)"),
        "engine, MiBB(p_m=1e-4)": under("MiBB(p_m=0.0001)"),
        "engine, MiBB as in the paper": under("MiBB(p_m=0.0001)", position="before", scale="power-of-two"),
    }


def rounds(arms: Mapping[str, Arm], count: int) -> dict[str, list[float]]:
    """Seconds of a step by arm, round by round."""
    times: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(count):
        pairs = dict.fromkeys(arms, 0.0)
        for name in (*arms, *reversed(arms)):
            pairs[name] += arms[name]() / 2
        for name, step_s in pairs.items():
            times[name].append(step_s)
    return times


def rows(times: Mapping[str, list[float]], targets: Mapping[str, float], networks: int) -> list[Row]:
    """The lines of a table; ratios are to the first arm."""
    first, found = next(iter(times.values())), list[Row]()
    for name, steps_s in times.items():
        ratios = [step_s / base_s for step_s, base_s in zip(steps_s, first, strict=True)]
        most, ratio = targets.get(name), _stats.median(ratios)
        found.append(
            {
                "training": name,
                "networks a step": networks,
                "step, CPU ms": 1000 * _stats.median(steps_s),
                "images per CPU s": BATCH / _stats.median(steps_s),
                "ratio": ratio,
                "95 % interval": _stats.median_interval(ratios),
                "target": f"≤ {most}" if most else "",
                "met": ratio <= most if most else None,
            }
        )
    return found


def run(quick: bool) -> Report:
    count, steps = (1, 3) if quick else (5, 5)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    tables = []
    try:
        data = made_up(steps)
        with tempfile.TemporaryDirectory(prefix="gauntlet-") as folder:
            for method, networks in (("sandwich", 4), ("single-path", 1)):
                settings = TrainSettings(epochs=1, batch=BATCH, method=method)
                times = rounds(supernet_arms(settings, data, Path(folder)), count)
                tables.append(Table(f"Supernet: {method}", rows(times, {"engine": MOST_OVERHEAD}, networks)))
        times = rounds(alone_arms(TrainSettings(epochs=1, batch=BATCH, learning_rate=0.1), data), count)
        tables.append(Table("ResNet-20 alone", rows(times, {"engine, adSAF(p=0.08)": MOST_FAULTS}, 1)))
    finally:
        torch.set_num_threads(before)
    return Report(tables)


if __name__ == "__main__":
    main(run, __doc__)
