"""What each precision and each share of clipping is worth on a trained network, as a device would run it.

Run: ``python -m benchmarks.precisions [--quick]``

He et al.'s ResNet-20 for CIFAR-10 (akamaster's weights, no training under faults) on 1,000 original test images in
LiteRT, one thread. The second table cuts the weights of the int8 file to a share of each layer's largest, and strikes
them: the same 30 patterns for every share, 500 images under each. adSAF's stuck cells stand for the largest weight of
their tensor, which is what is cut; flipped bits (iBF) stand for steps, which follow from it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._cifar_resnet import load_resnet, lossless_test, lossless_train
from benchmarks._lab import DATA
from benchmarks._report import Report, Row, Table, main
from fault_injection.drawing import draw_weights
from fault_injection.models import parse
from fault_injection.plan import FaultPlan
from fault_injection.precision import mean_and_half_width
from fault_injection.tflite.weights import contents, find_weights, inject
from search.export import ExportedModel, Precision, export_tflite

SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
CONDITIONS = ("adSAF(p=0.04)", "adSAF(p=0.08)", "iBF(p=0.0001)", "iBF(p=0.001)")
_BATCH = 50
#: Runs whose time is taken, and seconds after which there are no more.
_RUNS, _MOST_S = 300, 10.0
#: The stages of the network that a mixed file stores alike.
_MIXED = {"layer1": Precision.INT16X8, "layer2": Precision.INT8, "layer3": Precision.INT8}


def run(quick: bool) -> Report:
    if not (DATA / "resnet_cifar10").is_dir():
        return Report(skipped=f"no trained networks in {DATA}")
    torch.set_num_threads(1)
    network, ranges = load_resnet(20, DATA), lossless_train(DATA)[0][:256]
    pixels, labels = (tensor[: _BATCH if quick else 1000].numpy() for tensor in lossless_test(DATA))

    def exported(batch: int, precision: Precision, clip: float = 1.0, mixed: bool = False) -> ExportedModel:
        layers = _MIXED if mixed else None
        shape = (batch, 3, 32, 32)
        return export_tflite(network, shape, calibration=ranges, precision=precision, layers=layers, clip=clip)

    table = Table("ResNet-20 in each precision")
    for name, precision, mixed in [
        *((str(one), one, False) for one in Precision),
        ("int16x8 up to the first stage, then int8", Precision.INT16X8, True),
    ]:
        many, one = exported(_BATCH, precision, mixed=mixed), exported(1, precision, mixed=mixed)
        row: Row = {"precision": name, "accuracy, %": f"{_accuracy(many.data, pixels, labels):.1%}"[:-1]}
        row["file, kB"] = f"{one.size_bytes / 1000:.0f}"
        for kernels, delegated in [("XNNPACK", True), ("built-in", False)]:
            row[f"{kernels}, µs"] = f"{1e6 * _latency_s(one.data, delegated, 3 if quick else _RUNS):.0f}"
        table.rows.append(row)
    table.notes.append(
        "latency of one image: the median of the fastest tenth of the runs, for neighbours make it longer"
    )

    clipped = Table("ResNet-20 in int8, weights cut to a share of their layer's largest")
    patterns = 2 if quick else 30
    for share in SHARES[:2] if quick else SHARES:
        data = exported(_BATCH, Precision.INT8, share).data
        row = {"share": f"{share:g}", "clean, %": f"{_accuracy(data, pixels, labels):.1%}"[:-1]}
        for condition in CONDITIONS:
            mean, half = mean_and_half_width(_under(data, condition, patterns, pixels[:500], labels[:500]), 0.95)
            row[condition] = f"{100 * mean:.1f} ± {100 * half:.1f}"
        clipped.rows.append(row)
    clipped.notes.append("accuracy in %, ± the interval of the mean over patterns at 95 %")
    return Report([table, clipped])


def _under(
    data: bytes, condition: str, patterns: int, pixels: NDArray[np.float32], labels: NDArray[np.int64]
) -> Sequence[float]:
    plan, weights = FaultPlan(parse(condition), seed=20), find_weights(data)
    sites, stored = plan.select([weight.site for weight in weights]), contents(data, weights)
    found = []
    for pattern in range(patterns):
        faulty = inject(data, weights, draw_weights(plan, sites, stored, pattern))
        found.append(_accuracy(faulty, pixels, labels))
    return found


def _interpreter(data: bytes, delegated: bool = True):  # type: ignore[no-untyped-def]  # LiteRT has no types
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kinds = OpResolverType.AUTO if delegated else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=kinds)
    interpreter.allocate_tensors()
    return interpreter


def _accuracy(data: bytes, pixels: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    interpreter = _interpreter(data)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    right = 0
    for start in range(0, len(pixels), _BATCH):
        values = pixels[start : start + _BATCH].transpose(0, 2, 3, 1)
        if source["dtype"] is not np.float32:
            (scale, zero), limits = source["quantization"], np.iinfo(source["dtype"])
            values = np.clip(np.rint(values / scale) + zero, limits.min, limits.max)
        interpreter.set_tensor(source["index"], np.ascontiguousarray(values, source["dtype"]))
        interpreter.invoke()
        right += int((interpreter.get_tensor(target["index"]).argmax(1) == labels[start : start + _BATCH]).sum())
    return right / len(pixels)


def _latency_s(data: bytes, delegated: bool, runs: int) -> float:
    interpreter = _interpreter(data, delegated)
    taken: list[float] = []
    while len(taken) < runs and sum(taken) < _MOST_S:
        began = time.perf_counter()
        interpreter.invoke()
        taken.append(time.perf_counter() - began)
    return statistics.median(sorted(taken)[: max(1, len(taken) // 10)])


if __name__ == "__main__":
    main(run, __doc__)
