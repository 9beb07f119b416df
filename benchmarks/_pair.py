"""Write two models, of which the second does a known share more: ``python -m benchmarks._pair A.tflite B.tflite``.

Chains of 33 and 34 equal convolutions in int8: B has 3 % more multiplications, in a 34th layer.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from search.export import export_tflite

LAYERS = (33, 34)
_SHAPE = (1, 16, 16, 16)


def main() -> None:
    torch.set_num_threads(1)
    for path, layers in zip(sys.argv[1:3], LAYERS, strict=True):
        torch.manual_seed(0)
        chain = [part for _ in range(layers) for part in (nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())]
        exported = export_tflite(nn.Sequential(*chain).eval(), _SHAPE, calibration=torch.randn(16, *_SHAPE[1:]))
        Path(path).write_bytes(exported.data)


if __name__ == "__main__":
    main()
