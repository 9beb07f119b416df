"""CPU seconds to export a network, tracing included.

Run: ``python -m benchmarks.export [--quick]``

Process time, median over repetitions after one to warm up (the first export of a process also pays for imports), on
one thread. The targets of the design are 0.02 s for ResNet-20 and 0.05 s for MobileNetV2 in float32. The agreement
with torch is on random images of random networks: it says that the file is right, not how well a trained network
quantizes.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import Tensor, nn

from benchmarks._report import Report, Table, main
from search.export import ExportedModel, export_onnx, export_tflite, verify

SHAPE = (1, 3, 32, 32)
TARGETS_S = {("ResNet-20", "float32"): 0.02, ("MobileNetV2", "float32"): 0.05}


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width_in, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        plain = stride == 1 and width_in == width
        projection = nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.shortcut = nn.Identity() if plain else projection
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Body and shortcut, added."""
        out: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return out


class InvertedBottleneck(nn.Module):
    """Sandler et al., MobileNetV2, figure 4d."""

    def __init__(self, width_in: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = width_in * expansion
        expand = [nn.Conv2d(width_in, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU6()]
        self.body = nn.Sequential(
            *(expand if expansion > 1 else []),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.residual = stride == 1 and width_in == width

    def forward(self, x: Tensor) -> Tensor:
        """The body, added to its input where shapes allow."""
        out: Tensor = x + self.body(x) if self.residual else self.body(x)
        return out


def resnet20() -> nn.Module:
    widths = [16] * 3 + [32] * 3 + [64] * 3
    strides = [1, 1, 1, 2, 1, 1, 2, 1, 1]
    blocks = [
        BasicBlock(before, width, stride) for before, width, stride in zip([16, *widths], widths, strides, strict=False)
    ]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mobilenet_v2() -> nn.Module:
    """Width 1.0, with the strides that are usual for 32×32 images."""
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()]
    before = 32
    stages = [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, width, depth, stride in stages:
        for i in range(depth):
            layers.append(InvertedBottleneck(before, width, stride if i == 0 else 1, expansion))
            before = width
    layers += [nn.Conv2d(before, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 10))


def randomise(module: nn.Module) -> nn.Module:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(part.weight, 0.5, 1.5)
    return module.eval()


def run(quick: bool) -> Report:
    repetitions = 3 if quick else 15
    torch.set_num_threads(1)
    torch.manual_seed(0)
    calibration = torch.randn(64, *SHAPE[1:])
    table = Table("Export: processor time, tracing included")
    for name, make in (("ResNet-20", resnet20), ("MobileNetV2", mobilenet_v2)):
        network = randomise(make())
        for kind in ("float32", "int8", "onnx"):
            seconds = []
            for _ in range(repetitions + 1):
                start = time.process_time()
                exported = export(network, kind, calibration)
                seconds.append(time.process_time() - start)
            agreement = verify(exported, network, calibration)
            target_s = TARGETS_S.get((name, kind))
            cpu_s = statistics.median(seconds[1:])
            table.rows.append(
                {
                    "network": name,
                    "file": f"tflite {kind}" if kind != "onnx" else "onnx float32",
                    "CPU s": cpu_s,
                    "size kB": exported.size_bytes / 1000,
                    "difference/std": agreement.relative_difference,
                    "top-1": agreement.top1,
                    "target": None if target_s is None else f"≤ {target_s:g} s",
                    "verdict": None if target_s is None else cpu_s <= target_s,
                }
            )
    table.notes.append(f"int8 includes calibration on {len(calibration)} images")
    return Report([table])


def export(network: nn.Module, kind: str, calibration: Tensor) -> ExportedModel:
    if kind == "onnx":
        return export_onnx(network, SHAPE)
    return export_tflite(network, SHAPE, calibration=calibration if kind == "int8" else None)


if __name__ == "__main__":
    main(run, __doc__)
