"""What faults cost in torch: time of a batch with a new pattern of faults over time without any.

Run: ``python -m benchmarks.faults [--quick]``

ResNet-20 in float32, BatchNorm folded, 128 images. Drawing, patching and undoing are included, and each batch gets a
pattern of its own. Processor time, medians over interleaved rounds; the ratio is to the clean network of the same
memory layout and number of threads. Beside ours stand masks over everything, as one would write them first, and, where
they are installed, PyTorchFI 0.6.0 and MRFI 2.1.0, given equal expected flips (layers and kinds of faults that they
lack are left out): ``pip install --no-deps --target FOLDER pytorchfi==0.6.0 MRFI==2.1.0`` and GAUNTLET_PEERS=FOLDER.

All run with high MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_: otherwise the C library hands every feature map
back to the system and fetches it again, which costs the clean network as much as faults do.
"""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from benchmarks import _fault_peers as peers
from benchmarks._cifar_resnet import CifarResNet, load_resnet, lossless_test
from benchmarks._lab import DATA
from benchmarks._report import Report, Row, Table, main
from benchmarks._stats import median
from fault_injection.models import parse
from fault_injection.plan import FaultPlan, Position, Scale
from fault_injection.pytorch import Injector, TorchSites, find_sites, fold_batch_norm

BATCH = 128
PEER_ROUNDS = 2
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
_BEFORE = Position.BEFORE_ACTIVATION


@dataclass(frozen=True)
class Case:
    """A plan, and what it may cost on one thread."""

    name: str
    plan: FaultPlan
    target: float | None = None


CASES = (
    Case("weight flips 1e-4 per bit", FaultPlan(parse("iBF(p=1e-4)")), 1.02),
    Case("adSAF 8 %", FaultPlan(parse("adSAF(p=0.08)")), 1.05),
    Case("feature flips 1e-4 per bit", FaultPlan(parse("iBF(p=1e-4)"), _BEFORE, Scale.POWER_OF_TWO), 1.05),
    Case("MiBB p_m 1e-5", FaultPlan(parse("MiBB(p_m=1e-5)"), _BEFORE, Scale.POWER_OF_TWO)),
    Case("MiBB p_m 1e-4", FaultPlan(parse("MiBB(p_m=1e-4)"), _BEFORE, Scale.POWER_OF_TWO), 1.15),
)
WEIGHT_FLIPS, ADSAF, FEATURE_FLIPS, _, MIBB = CASES


@dataclass
class Timed:
    """A way to run a batch.

    Attributes:
        case: of faults.
        by: who does it.
        run: takes the number of a pattern, gives how many faults there were.
        seconds: processor time of each run.
        hits: faults of each run.
        rounds: at most so many; slow ones need fewer.
    """

    case: Case | None
    by: str
    run: Callable[[int], int]
    rounds: int
    seconds: list[float] = field(default_factory=list)
    hits: list[int] = field(default_factory=list)

    def once(self, number: int) -> None:
        """Run, and note the time."""
        begin = time.process_time()
        hits = self.run(number)
        self.seconds.append(time.process_time() - begin)
        self.hits.append(hits)


def run(quick: bool) -> Report:
    rounds = 1 if quick else 15
    if (DATA / "resnet_cifar10").is_dir():
        network, images = load_resnet(20, DATA), lossless_test(DATA)[0][:BATCH]
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network, images = CifarResNet(20).eval(), torch.randn(BATCH, 3, 32, 32)
    folded = fold_batch_norm(network)
    before = torch.get_num_threads()
    tables = []
    try:
        for threads in (1,) if quick else (1, 2):
            torch.set_num_threads(threads)
            tables.append(_table(folded, images, threads, rounds))
    finally:
        torch.set_num_threads(before)
    if missing := [name for name in ("pytorchfi", "mrfi") if peers.peer(name) is None]:
        tables[-1].notes.append(f"not installed: {', '.join(missing)}")
    if any(os.environ.get(name) != value for name, value in _MALLOC.items()):
        tables[-1].notes.append("the C library's thresholds were not set: run it as a module of its own")
    return Report(tables)


def _table(network: nn.Module, images: Tensor, threads: int, rounds: int) -> Table:
    table = Table(f"Time of a batch of {BATCH} over clean, {threads} thread{'s' * (threads > 1)}")
    clean_s: dict[str, float] = {}
    for layout, form in LAYOUTS.items():
        module, batch = copy.deepcopy(network).to(memory_format=form), images.contiguous(memory_format=form)
        with torch.no_grad():
            contenders = _contenders(module, batch, rounds, others=layout == "contiguous")
            _interleave(contenders, rounds)
        clean_s[layout] = median(contenders[0].seconds)
        for contender in contenders:
            table.rows.append(_row(contender, layout, clean_s, threads))
    return table


def _contenders(module: nn.Module, batch: Tensor, rounds: int, *, others: bool) -> list[Timed]:
    def clean(number: int) -> int:
        module(batch)
        return 0

    sites = find_sites(module, batch)
    made = [Timed(None, "no faults", clean, rounds)]
    made += [Timed(case, "gauntlet", _ours(sites, case, module, batch), rounds) for case in CASES]
    if not others:
        return made
    for case in (WEIGHT_FLIPS, ADSAF):
        made.append(Timed(case, "dense masks", peers.dense_weights(module, batch, case.plan, sites), PEER_ROUNDS))
    for case in (FEATURE_FLIPS, MIBB):
        made.append(Timed(case, "dense masks", peers.dense_features(module, batch, case.plan, sites), PEER_ROUNDS))
    # On copies: peers hook and overwrite what they are given.
    weights = [float(parameter.abs().max()) for parameter in sites.parameters().values()]
    features = [layer.stages[0].range.peak for layer in sites.layers]
    p = 1e-4
    weight_values = sum(site.size for site in sites.select(WEIGHT_FLIPS.plan))
    feature_values = sum(site.size for site in sites.select(FEATURE_FLIPS.plan)) * len(batch)
    for case, by, function in (
        (WEIGHT_FLIPS, "PyTorchFI", lambda m: peers.pytorchfi_weights(m, batch, p)),
        (FEATURE_FLIPS, "PyTorchFI", lambda m: peers.pytorchfi_features(m, batch, p, features)),
        (WEIGHT_FLIPS, "MRFI", lambda m: peers.mrfi(m, batch, p, weights=True, peaks=weights, values=weight_values)),
        (
            FEATURE_FLIPS,
            "MRFI",
            lambda m: peers.mrfi(m, batch, p, weights=False, peaks=features, values=feature_values),
        ),
    ):
        contender = function(copy.deepcopy(module))
        if contender is not None:
            made.append(Timed(case, by, contender, PEER_ROUNDS))
    return made


def _ours(sites: TorchSites, case: Case, module: nn.Module, batch: Tensor) -> Callable[[int], int]:
    injector = Injector(sites, case.plan)

    def once(number: int) -> int:
        with injector.inject(number) as injection:
            module(batch)
        return injection.hits

    return once


def _interleave(contenders: list[Timed], rounds: int) -> None:
    for number in range(rounds + 1):
        # Every second round backwards, so that a machine that slows down favours nobody.
        for contender in contenders if number % 2 else contenders[::-1]:
            if number <= contender.rounds:
                contender.once(number)
    for contender in contenders:
        del contender.seconds[0], contender.hits[0]  # the first warms up


def _row(contender: Timed, layout: str, clean_s: dict[str, float], threads: int) -> Row:
    case, spent_s = contender.case, median(contender.seconds)
    ratio = spent_s / clean_s[layout]
    target = case.target if case is not None and threads == 1 and contender.by == "gauntlet" else None
    return {
        "faults": "none" if case is None else case.name,
        "by": contender.by,
        "layout": layout,
        "ms": spent_s * 1e3,
        "over clean": ratio,
        "over contiguous clean": spent_s / clean_s["contiguous"],
        "hits": median(contender.hits) or None,
        "target": None if target is None else f"≤ {target:g}",
        "verdict": None if target is None else ratio <= target,
    }


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in _MALLOC.items()):
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.faults", *sys.argv[1:]], {**os.environ, **_MALLOC})
    main(run, __doc__)
