"""Write the reference model by which agents check that their device is what it was.

    python tools/make_reference_model.py

Run when the model is to change, and never lightly: devices then have to find a new baseline. Needs a lab install; the
agent ships the file. The weights are NumPy's, from a fixed seed, so that they do not depend on the version of torch.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from search.export import export_tflite  # noqa: E402  # after the path

TARGET = PROJECT / "device_agent" / "fitness" / "reference.tflite"
_SEED = 20250101
_SIDE = 48
_WIDTH = 24


def reference_model() -> bytes:
    """A small float32 network of what vision models are made of: convolutions of 3 x 3, depthwise and of 1 x 1.

    19 million multiply-accumulates, which take a server's core half a millisecond and a small board's several: long
    for the clock, short enough for hundreds of calls in half a second. Float32, since every runtime has fast kernels
    for it; larger than a first-level cache, smaller than a second-level one.
    """
    w = _WIDTH
    network = nn.Sequential(
        *(nn.Conv2d(3, w, 3, padding=1), nn.ReLU6()),
        *(nn.Conv2d(w, w, 3, padding=1, groups=w), nn.ReLU6()),
        *(nn.Conv2d(w, 2 * w, 1), nn.ReLU6()),
        *(nn.Conv2d(2 * w, 2 * w, 3, stride=2, padding=1), nn.ReLU6()),
        *(nn.Conv2d(2 * w, 2 * w, 3, padding=1, groups=2 * w), nn.ReLU6()),
        *(nn.Conv2d(2 * w, 4 * w, 1), nn.ReLU6()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * w, 10)),
    ).eval()
    random = np.random.default_rng(_SEED)
    with torch.no_grad():
        for parameter in network.parameters():
            # He's scale keeps activations alive from layer to layer: none of them dies, none meets denormal numbers.
            scale = np.sqrt(2 / max(1, int(np.prod(parameter.shape[1:]))))
            values = scale * random.standard_normal(tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
    return export_tflite(network, (1, 3, _SIDE, _SIDE)).data


if __name__ == "__main__":
    TARGET.write_bytes(reference_model())
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")
