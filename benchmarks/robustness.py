"""Accuracy of trained networks under the faults of FTT-NAS, beside the paper's own figures.

Run: ``python -m benchmarks.robustness [--quick]``

He et al.'s ResNets for CIFAR-10 (akamaster's weights, no fault-tolerant training) as int8 files in the paper's fixed
point: power-of-two steps, one scale for each weight tensor, activations apart, so that feature faults strike the signed
output of convolution and normalisation. They run where a user's would, on an agent in LiteRT. The MLPerf Tiny ResNet
(`pretrainedResnet_quant.tflite`) runs as it was deployed by others: per-channel scales, faults after the fused
activation. 1,000 original test images; patterns until the mean is known to ±1 point at 95 %, from 30 to 100 of them.

The paper's rows (Ning et al., ACM TODAES 2021; the abstract's 60.8 % for ResNet-20 apart, as recalled and not verified)
are of networks that were trained **with** faults. Ours were not: the difference is what that training is worth, not an
error of either. MiBB stands beside the paper's MobileNet-V2, since it gives no ResNet there.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

import gauntlet
from benchmarks._cifar_resnet import DEPTHS, load_resnet, lossless_test, lossless_train
from benchmarks._lab import DATA
from benchmarks._report import Report, Row, Table, main
from fault_injection.precision import Precision
from gauntlet.faults import campaign
from gauntlet.faults.result import Series
from gauntlet.faults.settings import Condition, FaultSettings, conditions
from search.export import Scheme, export_tflite

#: Rates, and the paper's accuracy in percent at them.
ADSAF = {0.04: 86.4, 0.06: 77.9, 0.08: 60.8, 0.10: 41.6, 0.12: 25.6}
MIBB = {3e-6: 70.3, 1e-5: 69.0, 3e-5: 68.7, 1e-4: 68.1, 3e-4: 47.8}
IBF = (1e-5, 1e-4, 1e-3)


def run(quick: bool) -> Report:
    if not (DATA / "resnet_cifar10").is_dir():
        return Report(skipped=f"no trained networks in {DATA}")
    depths = DEPTHS[:1] if quick else DEPTHS
    images = 100 if quick else 1000
    precision = Precision(0.01, 0.95, 3, 3) if quick else Precision(0.01, 0.95, 30, 100)
    torch.set_num_threads(1)
    found: dict[str, list[Series]] = {}
    with tempfile.TemporaryDirectory() as folder, gauntlet.Lab(folder=Path(folder) / "lab") as lab:
        root = Path(folder)
        for depth in depths:
            exported = export_tflite(
                load_resnet(depth, DATA),
                (1, 3, 32, 32),
                calibration=lossless_train(DATA)[0][:256],
                scheme=Scheme.POWER_OF_TWO,
                path=root / f"resnet{depth}.tflite",
            )
            pixels, labels = (tensor[:images].numpy() for tensor in lossless_test(DATA))
            data = root / f"data{depth}.npz"
            gauntlet.save_data_set(data, gauntlet.DataSet({exported.input_name: _nhwc(pixels)}, labels))
            found[f"ResNet-{depth}"] = _measure(lab, root / f"resnet{depth}.tflite", data, True, precision, quick)
        others = root / "raw.npz"
        gauntlet.save_data_set(others, _raw(images))
        tiny = DATA / "tflite" / "pretrainedResnet_quant.tflite"
        found["MLPerf Tiny"] = _measure(lab, tiny, others, False, precision, quick)
    tables = [
        _table("adSAF, variant all, in weights", "adSAF", found, "paper, ResNet-20 trained with faults", ADSAF),
        _table("MiBB in features", "MiBB", found, "paper, MobileNet-V2 trained with faults", MIBB),
        _table("iBF in weights, per bit", "iBF", found, "", {}),
        _table("iBF in features, per bit", "iBF features", found, "", {}),
    ]
    tables[0].notes.append("accuracy in %, with the interval over patterns at 95 % on these images")
    tables[1].notes.append("ResNets before the activation in power-of-two steps, MLPerf Tiny after it in its own")
    return Report(tables)


def _measure(
    lab: gauntlet.Lab, model: Path, data: Path, paper: bool, precision: Precision, quick: bool
) -> list[Series]:
    position, scale = ("before", "power-of-two") if paper else ("after", "deployed")
    first = slice(2, 3) if quick else slice(None)

    def rates(values: object) -> str:
        return ",".join(f"{rate:g}" for rate in list(values)[first])  # type: ignore[call-overload]

    asked: tuple[Condition, ...] = (
        *conditions(["adSAF"], rates=rates(ADSAF)),
        *conditions(["MiBB"], rates=rates(MIBB), position=position, scale=scale),
        *conditions(["iBF"], rates=rates(IBF)),
        *conditions(["iBF"], rates=rates(IBF), position=position, scale=scale),
    )
    settings = FaultSettings(model, data, asked, precision, batch=100)
    return campaign.run(lab, settings, data.parent / f"faults-{model.stem}").devices[0].series


def _table(
    title: str, kind: str, found: Mapping[str, list[Series]], paper: str, theirs: Mapping[float, float]
) -> Table:
    table = Table(title)
    members = {name: [entry for entry in series if _kind(entry) == kind] for name, series in found.items()}
    table.rows.append({"rate": "clean", **{name: _percent(series[0]) for name, series in members.items()}})
    for place, entry in enumerate(next(iter(members.values()))):
        rate = entry.condition.rate
        row: Row = {"rate": f"{rate:g}", **{name: _figure(series[place]) for name, series in members.items()}}
        hit = f"{entry.summary(0.95).faults:,.0f}"
        table.rows.append({**row, **({paper: f"{theirs[rate]:.1f}"} if paper else {}), "faults, first network": hit})
    return table


def _kind(series: Series) -> str:
    plan = series.condition.plan
    features = plan.model.name == "iBF" and plan.place.value == "features"
    return "iBF features" if features else plan.model.name


def _percent(series: Series) -> str:
    return f"{series.outcomes.clean_accuracy:.1%}"[:-1]


def _figure(series: Series) -> str:
    accuracy = series.summary(0.95).accuracy
    assert accuracy.interval is not None
    return f"{100 * accuracy.value:.1f} ± {50 * (accuracy.interval.high - accuracy.interval.low):.1f}"


def _nhwc(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def _raw(images: int) -> gauntlet.DataSet:
    """Pixel values 0-255, as MLPerf Tiny's network takes them."""
    content = gzip.decompress((DATA / "cifar10" / "lossless_test1000.bin.gz").read_bytes())
    records = np.frombuffer(content, np.uint8).reshape(-1, 3073)[:images]
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32)
    return gauntlet.DataSet({"input": _nhwc(pixels)}, records[:, 0].astype(np.int64))


if __name__ == "__main__":
    main(run, __doc__)
