"""How the reproduction of FTT-NAS is carried out: three sizes of the same study, and one for tests, as data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from search.data import Augmentation
from search.fault_training import FaultTraining
from search.supernet import TrainSettings

RESNET, MOBILENET, VGG = "ResNet-20", "MobileNetV2 ×0.25", "VGG-7"
"""Networks that are not searched, see `_ftt_networks`."""


@dataclass(frozen=True)
class Recipe:
    """How every network of a study is trained and tested, whatever its architecture.

    Attributes:
        data: digits, or the path of a data set.
        pool: side of the squares of cells that are averaged into one.
        limit: most images of a part; all if None.
        epochs: of each training.
        batch: images a step.
        learning_rate: at its peak.
        faults: of trainings under faults.
        augment: of the training images.
        conditions: fault models that networks are tested under, rates rising.
        endpoint: the one of them that decides.
        patterns: of faults, for each condition.
        images: of the test part.
        test_seed: of these patterns. Searches draw theirs from their seed + 1,000,003, winners on the device +
            2,000,003, trainings + 3,000,003: none of them meets these.
        device: of torch: cpu, cuda, or auto for a graphics processor if there is one.
    """

    data: str
    pool: int
    limit: int | None
    epochs: int
    batch: int
    learning_rate: float
    faults: FaultTraining
    augment: Augmentation
    conditions: tuple[str, ...]
    endpoint: str
    patterns: int
    images: int
    test_seed: int = 40_000_003
    device: str = "cpu"

    def training(self, faulty: bool) -> TrainSettings:
        """Of one network, under faults or without."""
        return TrainSettings(
            epochs=self.epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            weight_decay=5e-4,
            faults=self.faults if faulty else None,
            augment=self.augment,
            device=self.device,
        )

    @property
    def digest(self) -> str:
        """Of all that decides a result, wherever the data lies and whatever computes; not of what is left as usual."""
        chosen = _chosen(replace(self, data="", device="cpu"))
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:12]


def _chosen(settings: Any) -> Any:
    """Settings as plain data, without those that have their defaults: one that is new changes nothing."""
    if not is_dataclass(settings):
        return settings
    values = {entry.name: getattr(settings, entry.name) for entry in fields(settings)}
    return {
        entry.name: _chosen(values[entry.name]) for entry in fields(settings) if values[entry.name] != entry.default
    }


@dataclass(frozen=True)
class Setting:
    """A study.

    Attributes:
        name: on the command line.
        recipe: of every training and test.
        campaign: keys of the campaign file that are other than in ``examples/ftt_cifar10.yaml``.
        searches: independent ones; training seed i belongs to search i modulo their number.
        seeds: trainings of each network that the endpoint compares.
        randoms: networks drawn from the space for each seed, of the MACs of its searched one ± 5 %.
        baselines: networks trained under faults with every seed.
        once: baselines trained under faults with the first seed alone.
        clean: networks trained without faults, with the first seed alone; "searched" is one.
    """

    name: str
    recipe: Recipe
    campaign: Mapping[str, Any] = field(default_factory=dict)
    searches: int = 1
    seeds: int = 3
    randoms: int = 1
    baselines: tuple[str, ...] = (RESNET,)
    once: tuple[str, ...] = ()
    clean: tuple[str, ...] = (RESNET, "searched")


_SHORT = Recipe(
    data="",
    pool=2,
    limit=None,
    epochs=8,
    batch=128,
    learning_rate=0.1,
    faults=FaultTraining("adSAF(p=0.08)", alpha=0.7, clean_epochs=1, ramp_epochs=2),
    augment=Augmentation(crop=2, flip=True),
    conditions=("adSAF(p=0.02)", "adSAF(p=0.04)", "adSAF(p=0.08)", "adSAF(p=0.12)"),
    endpoint="adSAF(p=0.08)",
    patterns=30,
    images=10_000,
)
_LONG = replace(
    _SHORT, epochs=30, faults=FaultTraining("adSAF(p=0.08)", alpha=0.7, clean_epochs=8, ramp_epochs=8), patterns=60
)
# The share of a feature map's values that MiBB hits follows from the window and the channels of its layer, not from the
# size of the image: at the paper's p_m it is what it is at full size, 2.1 % on the average of ResNet-20.
_FEATURES = replace(
    _LONG,
    faults=FaultTraining("MiBB(p_m=0.0001)", alpha=0.5, clean_epochs=8, ramp_epochs=8),
    conditions=("MiBB(p_m=3e-06)", "MiBB(p_m=1e-05)", "MiBB(p_m=3e-05)", "MiBB(p_m=0.0001)", "MiBB(p_m=0.0003)"),
    endpoint="MiBB(p_m=0.0001)",
)

SETTINGS: Mapping[str, tuple[Setting, ...]] = {
    "short": (Setting("short", _SHORT, once=(MOBILENET,)),),
    "overnight": tuple(
        Setting(
            name,
            recipe,
            {"supernet": supernet, **objectives},
            searches=3,
            randoms=2,
            baselines=(RESNET, MOBILENET, VGG),
            clean=(RESNET, MOBILENET, "searched"),
        )
        for name, recipe, supernet, objectives in (
            (
                "overnight-weights",
                _LONG,
                {"epochs": 30, "faults": {"model": "adSAF(p=0.08)", "alpha": 0.7, "clean_epochs": 8, "ramp_epochs": 8}},
                {},
            ),
            (
                "overnight-features",
                _FEATURES,
                {
                    "epochs": 30,
                    "faults": {"model": "MiBB(p_m=0.0001)", "alpha": 0.5, "clean_epochs": 8, "ramp_epochs": 8},
                },
                {"objectives": ["accuracy@MiBB(p_m=0.0001)", "accuracy", "latency_s@local"]},
            ),
        )
    ),
    "gpu": (
        Setting(
            "gpu",
            replace(_SHORT, pool=1, epochs=30, augment=Augmentation(crop=4, flip=True), device="auto"),
            {
                "constraints": ["macs >= 36504000", "macs <= 40560000"],
                "supernet": {"epochs": 30, "augment": {"crop": 4, "flip": True}, "device": "auto"},
            },
        ),
    ),
}
"""By their names on the command line."""

QUICK = Setting(
    "quick",
    replace(
        _SHORT,
        data="digits",
        pool=1,
        epochs=1,
        faults=FaultTraining("adSAF(p=0.08)"),
        augment=Augmentation(crop=1),
        conditions=("adSAF(p=0.02)", "adSAF(p=0.08)"),
        patterns=3,
        images=100,
        limit=400,
    ),
    {
        "constraints": ["macs <= 2000000"],
        "space": {"stem": 4, "widths": [[4, 8], [8, 16]], "depth": 2},
        "supernet": {
            "epochs": 1,
            "augment": {"crop": 1},
            "faults": {"model": "adSAF(p=0.08)", "clean_epochs": 0, "ramp_epochs": 0},
        },
        "search": {"candidates": 3, "batch": 3},
        "measure": {"images": 50, "max_s": 0.1},
        "faults": {"images": 50, "min_patterns": 2, "max_patterns": 2},
    },
    seeds=2,
    baselines=(VGG,),
    clean=("searched",),
)
"""Shows that it runs; its figures mean nothing."""
