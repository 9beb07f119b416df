"""Do the torch half and the deployed half of fault injection agree? Same network, plan and seed.

Run: ``python -m benchmarks.agreement [--quick]``

The trained ResNet-20, batch-norm folded, in torch; and the int8 file made of it, in LiteRT. For each pattern both
halves draw for themselves: the faults must be the same, bit for bit. The accuracies on 1,000 images are compared
pattern by pattern; the halves are called equivalent where the 90 % interval of the mean difference lies inside ±0.5
points (two one-sided tests at 5 %, Schuirmann 1987). Torch computes unhit values in floating point, so that answers
near a tie differ.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks._cifar_resnet import load_resnet, lossless_test, lossless_train
from benchmarks._lab import DATA
from benchmarks._report import Report, Row, Table, main
from device_agent.measure.accuracy import LabelledSamples
from device_agent.measure.faulty import break_model, together
from device_agent.measure.trials import LocalTrials, drive
from device_agent.runtimes import discover
from fault_injection.drawing import draw_features, draw_weights
from fault_injection.models import Place, parse
from fault_injection.plan import FaultPlan, Position, Scale
from fault_injection.precision import mean_and_half_width
from fault_injection.pytorch import Injector, TorchSites, find_sites, fold_batch_norm
from fault_injection.space import digest, fingerprint_of_features
from fault_injection.tflite.weights import contents, find_weights
from protos import dataset
from search.export import Scheme, export_tflite

BATCH = 100
MARGIN = 0.005
CASES = (
    ("iBF(p=3e-5)", Position.WEIGHTS, Scale.DEPLOYED, Scheme.DEPLOYED),
    ("adSAF(p=0.002)", Position.WEIGHTS, Scale.DEPLOYED, Scheme.POWER_OF_TWO),
    ("MiBB(p_m=1e-6)", Position.BEFORE_ACTIVATION, Scale.POWER_OF_TWO, Scheme.POWER_OF_TWO),
    ("iBF(p=1e-5)", Position.BEFORE_ACTIVATION, Scale.POWER_OF_TWO, Scheme.POWER_OF_TWO),
    ("iBF(p=1e-5)", Position.AFTER_ACTIVATION, Scale.DEPLOYED, Scheme.DEPLOYED),
)


def run(quick: bool) -> Report:
    if not (DATA / "resnet_cifar10").is_dir():
        return Report(skipped=f"no trained networks in {DATA}")
    patterns, images = (2, 100) if quick else (30, 1000)
    torch.set_num_threads(1)
    folded = fold_batch_norm(load_resnet(20, DATA))
    calibration = lossless_train(DATA)[0][:256]
    pixels, labels = (tensor[:images] for tensor in lossless_test(DATA))
    table = Table("Torch and LiteRT under the same faults")
    for text, position, scale, scheme in CASES:
        plan = FaultPlan(parse(text), position, scale)
        table.rows.append(_compare(folded, plan, scheme, calibration, pixels, labels, patterns))
    table.notes.append(f"{patterns} patterns, {images} images; differences in points, LiteRT less torch")
    return Report([table])


def _compare(
    network: torch.nn.Module,
    plan: FaultPlan,
    scheme: Scheme,
    calibration: torch.Tensor,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    patterns: int,
) -> Row:
    exported = export_tflite(network, (1, 3, 32, 32), calibration=calibration, scheme=scheme)
    sites = find_sites(network, calibration[:16], links=exported.sites, deployed=exported.data)
    runtime = discover()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        inputs = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())
        dataset.save(path, dataset.DataSet({exported.input_name: inputs}, labels.numpy()))
        clean = runtime.load(exported.data, 1, "xnnpack")
        samples = LabelledSamples(clean, path)
        accuracy = samples.classify(clean, BATCH).right / len(labels)
        faulty = break_model(exported.data, plan, len(samples), BATCH)
        trials = LocalTrials(samples, lambda content, batch: runtime.load(content, 1, "xnnpack", batch))
        injector = Injector(sites, plan)
        differences, same, count, means = [], 0, 0, []
        for pattern in range(patterns):
            (broken,) = drive(together([faulty.run(pattern)]), trials)
            theirs = _torch_accuracy(injector, network, pattern, pixels, labels)
            same += broken.digest == _torch_digest(sites, plan, exported.data, pattern)
            count += broken.faults
            means.append(broken.answers.right / len(labels))
            differences.append(means[-1] - theirs)
    mean, half = mean_and_half_width(differences, 0.90)
    return {
        "faults": f"{plan.model} {plan.position.value if plan.position else ''}",
        "a pattern": round(count / patterns),
        "same faults": f"{same} of {patterns}",
        "clean %": 100 * accuracy,
        "LiteRT %": 100 * float(np.mean(means)),
        "difference": 100 * mean,
        "90 % interval": (100 * (mean - half), 100 * (mean + half)),
        "target": "±0.5",
        "verdict": mean - half > -MARGIN and mean + half < MARGIN,
    }


def _torch_accuracy(
    injector: Injector, network: torch.nn.Module, pattern: int, pixels: torch.Tensor, labels: torch.Tensor
) -> float:
    right = 0
    with torch.no_grad():
        for start in range(0, len(labels), BATCH):
            part = slice(start, start + BATCH)
            with injector.inject(pattern, range(start, start + len(labels[part]))):
                right += int((network(pixels[part]).argmax(1) == labels[part]).sum())
    return right / len(labels)


def _torch_digest(sites: TorchSites, plan: FaultPlan, file: bytes, pattern: int) -> str:
    """What torch's half draws: for its own sites, from the weights as it stores them."""
    chosen = sites.select(plan)
    if plan.place is Place.FEATURES:
        return fingerprint_of_features(draw_features(plan, chosen, pattern, range(1)), chosen)
    return digest(draw_weights(plan, chosen, contents(file, find_weights(file)), pattern))


if __name__ == "__main__":
    main(run, __doc__)
