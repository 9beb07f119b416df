"""He et al.'s ResNets for CIFAR-10 with trained weights, and original CIFAR-10 images to run them on.

The weights are akamaster's (github.com/akamaster/pytorch_resnet_cifar10, BSD-2); on :func:`lossless_test` they reach
91.5, 92.8, 93.3 and 92.6 % at depths 20, 32, 44 and 56.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

DEPTHS = (20, 32, 44, 56)
"""Depths of which there are trained weights."""

_RECORD_BYTES = 1 + 3 * 32 * 32
# ImageNet's, with which these weights were trained.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut without parameters (option A of the paper).

    Where the map shrinks, the shortcut takes every second cell and adds channels of zeros, half of them on either side.
    """

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.extra = (width - width_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, width, H / stride, W / stride)."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        y = y + (F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra)) if self.extra else x)
        return F.relu(y)


class CifarResNet(nn.Module):
    """Depth 6n + 2: a convolution, three stages of n blocks (16, 32, 64 channels), a mean, a linear layer.

    Args:
        depth: 20, 32, 44, 56 …
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ValueError(f"the depth must be 6n + 2, not {depth}")
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, 1, blocks)
        self.layer2 = _stage(16, 32, 2, blocks)
        self.layer3 = _stage(32, 64, 2, blocks)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) → logits (N, 10)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _stage(width_in: int, width: int, stride: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(width_in, width, stride), *(BasicBlock(width, width, 1) for _ in range(blocks - 1)))


def load_resnet(depth: int, data_dir: Path) -> CifarResNet:
    """A trained ResNet, in evaluation mode.

    Args:
        depth: one of `DEPTHS`.
        data_dir: holds ``resnet_cifar10``.

    Raises:
        FileNotFoundError: there are no weights for this depth.
    """
    folder = data_dir / "resnet_cifar10"
    file = next(folder.glob(f"resnet{depth}-*.th"), None)
    if file is None:
        raise FileNotFoundError(f"no weights of a ResNet-{depth} in {folder}; there are depths {DEPTHS}")
    state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
    network = CifarResNet(depth)
    network.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    return network.eval()


def lossless_test(data_dir: Path) -> tuple[Tensor, Tensor]:
    """1,000 images of CIFAR-10's test set, as they were published, about 100 of each class.

    Args:
        data_dir: holds ``cifar10``.

    Returns:
        Images (1000, 3, 32, 32), float32, normalised for these networks, and labels (1000,), int64.
    """
    return _images(data_dir / "cifar10" / "lossless_test1000.bin.gz")


def lossless_train(data_dir: Path) -> tuple[Tensor, Tensor]:
    """4,000 images of CIFAR-10's training set, likewise: for calibration, not for testing.

    Args:
        data_dir: holds ``cifar10``.

    Returns:
        Images (4000, 3, 32, 32), float32, normalised for these networks, and labels (4000,), int64.
    """
    return _images(data_dir / "cifar10" / "lossless_train4000.bin.gz")


def _images(file: Path) -> tuple[Tensor, Tensor]:
    records = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8).reshape(-1, _RECORD_BYTES)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (_MEAN, _STD))
    return torch.from_numpy((pixels - mean) / std), torch.from_numpy(records[:, 0].astype(np.int64))
