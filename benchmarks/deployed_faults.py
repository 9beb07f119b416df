"""Images per second through a deployed int8 network while faults strike, beside torch without any.

Run: ``python -m benchmarks.deployed_faults [--quick]``

The trained ResNet-20 as an int8 file, in LiteRT with XNNPACK on one thread, as an agent runs it: draw a pattern, put it
in, run 1,000 images. Beside it the same network in torch, batch-norm folded, without faults, on one thread and in the
faster of two memory layouts. Processor time, medians of interleaved rounds, a new pattern in each. "Outside" is the
share of a pattern's time that is not inference (`invoke`): drawing, patching, building an interpreter, filling inputs,
comparing answers. The goals are three times the images of clean torch for faults in weights and MiBB, and at most 5 %
outside.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._cifar_resnet import load_resnet, lossless_test, lossless_train
from benchmarks._lab import DATA
from benchmarks._report import Report, Row, Table, main
from benchmarks._stats import median
from device_agent.measure.accuracy import LabelledSamples
from device_agent.measure.faulty import FaultyModel, break_model, together
from device_agent.measure.trials import LocalTrials, drive
from device_agent.runtimes import discover
from fault_injection.models import parse
from fault_injection.plan import FaultPlan, Position
from fault_injection.pytorch import fold_batch_norm
from protos import dataset
from search.export import export_tflite

BATCH = 100
CASES = (
    ("iBF(p=1e-4)", "weights", 3.0, 0.05),
    ("adSAF(p=0.08)", "weights", 3.0, 0.05),
    ("MiBB(p_m=1e-5)", "after", 3.0, 0.05),
    ("MiBB(p_m=1e-4)", "after", 3.0, 0.05),
    ("iBF(p=1e-4)", "after", None, None),
    ("iBF(p=1e-6)", "after", None, None),
)


class Timed:
    """A loaded model whose inferences are timed.

    Args:
        model: the real one.
        clock: where the processor time of its inferences goes.
    """

    def __init__(self, model: Any, clock: list[float]) -> None:
        self._model, self._clock = model, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def invoke(self) -> None:
        """One inference, timed."""
        begin = time.process_time()
        self._model.invoke()
        self._clock[0] += time.process_time() - begin


def run(quick: bool) -> Report:
    if not (DATA / "resnet_cifar10").is_dir():
        return Report(skipped=f"no trained networks in {DATA}")
    rounds, images = (2, 200) if quick else (9, 1000)
    torch.set_num_threads(1)
    network = load_resnet(20, DATA)
    pixels, labels = (tensor[:images] for tensor in lossless_test(DATA))
    exported = export_tflite(network, (1, 3, 32, 32), calibration=lossless_train(DATA)[0][:256])
    runtime = next(runtime for runtime in discover() if "tflite" in runtime.formats)
    folded = fold_batch_norm(network)
    cases: list[tuple[str, Callable[[int], None], list[float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        inputs = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())
        dataset.save(path, dataset.DataSet({exported.input_name: inputs}, labels.numpy()))
        clean = runtime.load(exported.data, 1, "xnnpack")
        samples = LabelledSamples(clean, path)
        samples.classify(clean, BATCH)
        for text, place, *_ in CASES:
            clock = [0.0]
            plan = FaultPlan(parse(text), Position(place))

            def load(content: bytes, batch: int, clock: list[float] = clock) -> Any:
                return Timed(runtime.load(content, 1, "xnnpack", batch), clock)

            faulty = break_model(exported.data, plan, len(samples), BATCH)
            cases.append((text, _pattern(faulty, LocalTrials(samples, load)), clock))
        torch_s: dict[str, list[float]] = {"contiguous": [], "channels last": []}
        total_s: list[list[float]] = [[] for _ in cases]
        invoke_s: list[list[float]] = [[] for _ in cases]
        clean_s: list[float] = []
        for number in range(rounds + 1):  # the first warms up
            for layout, kept in torch_s.items():
                kept.append(_torch_s(folded, pixels, layout))
            begin = time.process_time()
            samples.classify(clean, BATCH)
            clean_s.append(time.process_time() - begin)
            for (_, go, clock), total, invoke in zip(cases, total_s, invoke_s, strict=True):
                clock[0], begin = 0.0, time.process_time()
                go(number)
                total.append(time.process_time() - begin)
                invoke.append(clock[0])
    layout, torch_median_s = min(((k, median(v[1:])) for k, v in torch_s.items()), key=lambda pair: pair[1])
    table = Table("Deployed int8 ResNet-20 under faults: images per second of processor time")
    table.rows.append({"what": f"torch, clean, {layout}", "images/s": images / torch_median_s})
    table.rows.append(_row("LiteRT, clean", images, median(clean_s[1:]), torch_median_s))
    for (text, place, least, most), total, invoke in zip(CASES, total_s, invoke_s, strict=True):
        spent_s = median(total[1:])
        outside = median([1 - i / t for i, t in zip(invoke[1:], total[1:], strict=True)])
        row = _row(f"LiteRT, {text} {place}", images, spent_s, torch_median_s)
        if least is not None and most is not None:
            goal = {"target": f"≥ {least:g}×, ≤ {most:.0%}", "verdict": torch_median_s / spent_s >= least}
            row = {**row, "outside": outside, **goal, "outside ok": outside <= most}
        else:
            row = {**row, "outside": outside}
        table.rows.append(row)
    table.notes.append(
        f"{images} images to a pattern, batches of {BATCH}, {rounds} rounds; {runtime.name} {runtime.version}"
    )
    return Report([table])


def _pattern(faulty: FaultyModel, trials: LocalTrials) -> Callable[[int], None]:
    return lambda number: drive(together([faulty.run(number)]), trials) and None


def _torch_s(network: torch.nn.Module, pixels: torch.Tensor, layout: str) -> float:
    form = torch.channels_last if layout == "channels last" else torch.contiguous_format
    network.to(memory_format=form)
    batches = [batch.contiguous(memory_format=form) for batch in pixels.split(BATCH)]
    begin = time.process_time()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    return time.process_time() - begin


def _row(what: str, images: int, spent_s: float, torch_s: float) -> Row:
    return {"what": what, "images/s": images / spent_s, "over clean torch": torch_s / spent_s}


if __name__ == "__main__":
    main(run, __doc__)
