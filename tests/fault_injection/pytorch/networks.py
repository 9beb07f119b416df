"""Small networks with a bit of everything, and dense arithmetic to compare with."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from fault_injection.pytorch.sites import TorchSites
from fault_injection.space import Effect, Faults

IMAGES = (5, 3, 8, 6)


class Mixed(nn.Module):
    """Plain, grouped and depthwise convolutions, a dense layer behind a flattened map; module and function ReLUs."""

    def __init__(self, *, norm: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
        self.depthwise = nn.Conv2d(8, 16, 3, 2, 1, groups=8)
        self.relu6 = nn.ReLU6()
        self.grouped = nn.Conv2d(16, 16, (3, 1), 1, (1, 0), groups=2)
        self.relu = nn.ReLU(inplace=True)
        self.dense = nn.Linear(16 * 4 * 3, 7)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 8, 6) → (N, 7)."""
        x = F.relu(self.norm(self.first(x)))
        x = self.relu6(self.depthwise(x))
        y = self.grouped(x)
        x = self.relu(y + x)
        logits: Tensor = self.dense(torch.flatten(x, 1))
        return logits


def network(*, norm: bool = True, seed: int = 0) -> Mixed:
    """In evaluation mode, with statistics that are none of the defaults."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = Mixed(norm=norm)
        if isinstance(made.norm, nn.BatchNorm2d):
            made.norm.running_mean.normal_(0, 0.2)
            made.norm.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(made.norm.weight, 0.5, 1.5)
    return made.eval()


def images(count: int = IMAGES[0], seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *IMAGES[1:], generator=generator)


def channels_last(tensor: Tensor) -> Tensor:
    """(N, C, H, W) → (N, H, W, C), as the file has it; other shapes stay."""
    return tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor


def channels_first(tensor: Tensor) -> Tensor:
    return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor


def dense_mask(faults: Faults, like: Tensor) -> Tensor:
    """True where a feature map (N, C, H, W) or (N, C) is hit."""
    flat = torch.zeros(like.numel(), dtype=torch.bool)
    flat[torch.from_numpy(faults.elements.astype(np.int64))] = True
    return channels_first(flat.reshape(channels_last(like).shape))


def dense_operands(faults: Faults, like: Tensor) -> Tensor:
    """The operand of each value, 0 where it is not hit, as integers."""
    flat = torch.zeros(like.numel(), dtype=torch.int64)
    flat[torch.from_numpy(faults.elements.astype(np.int64))] = torch.from_numpy(faults.operands.astype(np.int64))
    return channels_first(flat.reshape(channels_last(like).shape))


def dense_features(values: Tensor, faults: Faults, scale: float, zero: int, limit: int = 127) -> Tensor:
    """What faults make of a whole feature map, value by value: a reference that shares no code with the injector."""
    operands = dense_operands(faults, values)
    stored = torch.clamp(torch.round(values / scale) + zero, -128, 127).to(torch.int64)
    if faults.effect is Effect.FLIP:
        after = (stored & 255) ^ operands
        after = torch.where(after > 127, after - 256, after)
    elif faults.effect is Effect.ADD:
        after = torch.clamp(stored + operands, -128, limit)
    elif faults.effect is Effect.SET:
        after = torch.where(operands > 127, operands - 256, operands)
    else:
        mask, ones = operands >> 8, operands & 255
        after = ((stored & 255) & ~mask) | ones
        after = torch.where(after > 127, after - 256, after)
    return torch.where(dense_mask(faults, values), (after - zero) * scale, values)


def weight_places(sites: TorchSites, faults: Faults) -> Tensor:
    """True where a parameter is hit, in its own shape; worked out by hand for each kind of layer."""
    weight = sites.weights[faults.site]
    parameter = sites.module.get_parameter(weight.parameter)
    hit = np.zeros(parameter.numel(), bool)
    hit[faults.elements] = True
    if weight.layer.link.kind == "conv":
        out, inner, height, width = parameter.shape
        return torch.from_numpy(hit.reshape(out, height, width, inner)).permute(0, 3, 1, 2)
    if weight.layer.link.kind == "depthwise":
        out, _, height, width = parameter.shape
        return torch.from_numpy(hit.reshape(height, width, out)).permute(2, 0, 1)[:, None]
    channels, height, width = weight.layer.link.flattened or (parameter.shape[1], 1, 1)
    spread = torch.from_numpy(hit.reshape(len(parameter), height, width, channels))
    return spread.permute(0, 3, 1, 2).reshape(parameter.shape)
