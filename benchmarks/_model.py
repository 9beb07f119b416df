"""Write the model that dispatch and footprint measure: ``python -m benchmarks._model FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from benchmarks.export import SHAPE, randomise, resnet20
from search.export import export_tflite


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    exported = export_tflite(randomise(resnet20()), SHAPE, calibration=torch.randn(64, *SHAPE[1:]))
    Path(sys.argv[1]).write_bytes(exported.data)


if __name__ == "__main__":
    main()
