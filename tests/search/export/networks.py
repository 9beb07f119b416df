"""Networks for the tests of the export."""

import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from hypothesis import strategies as st
from torch import nn

DATA = Path(os.environ.get("GAUNTLET_DATA", Path(__file__).parents[4] / "shared" / "data"))


class Zero(nn.Module):
    """The *none* operation of cell-based spaces."""

    def forward(self, x):
        return x.mul(0.0)


class Sum(nn.Module):
    """Branches that are added up, as NAS-Bench-201 writes it."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return sum(branch(x) for branch in self.branches)


class Cat(Sum):
    """Branches whose channels are put side by side."""

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class BasicBlock(nn.Module):
    """He et al.'s CIFAR block with the shortcut of option A: every second cell, and zeros for the new channels."""

    def __init__(self, width_in, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.extra = (width - width_in) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        y += F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra)) if self.extra else x
        return F.relu(y)


class ResNet20(nn.Module):
    """The network of the trained weights."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(BasicBlock(16, 16, 1) for _ in range(3)))
        self.layer2 = nn.Sequential(BasicBlock(16, 32, 2), BasicBlock(32, 32, 1), BasicBlock(32, 32, 1))
        self.layer3 = nn.Sequential(BasicBlock(32, 64, 2), BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = F.avg_pool2d(x, x.size()[3])
        return self.linear(x.view(x.size(0), -1))


def randomise(module, seed):
    """Statistics and gains as a trained BatchNorm has them, so that folding matters."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low, high in (
                (part.running_mean, -0.5, 0.5),
                (part.running_var, 0.3, 2.0),
                (part.weight.data, -0.5, 1.5),
                (part.bias.data, -0.5, 0.5),
            ):
                tensor.uniform_(low, high, generator=generator)
    return module.eval()


def images(count, shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32))


@st.composite
def _step(draw, channels):
    """One layer or block; returns it with its number of output channels."""
    kind = draw(
        st.sampled_from(["conv", "depthwise", "grouped", "inverted", "pool", "sum", "cat", "cell", "act", "bn"])
    )
    kernel = draw(st.sampled_from([1, 2, 3, 5]))
    stride = draw(st.sampled_from([1, 1, 2]))
    padding = draw(st.integers(0, kernel // 2))
    width = draw(st.sampled_from([4, 6, 8]))
    activation = draw(st.sampled_from([nn.ReLU(), nn.ReLU6(), nn.ReLU(inplace=True), nn.Hardswish(), nn.Identity()]))
    if kind == "conv":
        dilation = draw(st.sampled_from([1, 1, 2]))
        bias = draw(st.booleans())
        conv = nn.Conv2d(channels, width, kernel, stride, padding * dilation, dilation, bias=bias)
        return nn.Sequential(conv, nn.BatchNorm2d(width), activation), width
    if kind == "depthwise":
        out = channels * draw(st.sampled_from([1, 1, 2]))
        return nn.Sequential(nn.Conv2d(channels, out, kernel, stride, padding, groups=channels), activation), out
    if kind == "grouped":
        conv = nn.Conv2d(2 * channels, 8, kernel, stride, padding, groups=2, bias=False)
        return nn.Sequential(nn.Conv2d(channels, 2 * channels, 1), conv, nn.BatchNorm2d(8), activation), 8
    if kind == "inverted":
        inner = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1, bias=False),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU6(),
            nn.Conv2d(2 * channels, 2 * channels, 3, 1, 1, groups=2 * channels, bias=False),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU6(),
            nn.Conv2d(2 * channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        return Sum(nn.Identity(), inner), channels
    if kind == "pool":
        counted = draw(st.booleans())
        average = nn.AvgPool2d(kernel, stride, padding, count_include_pad=counted)
        return draw(st.sampled_from([average, nn.MaxPool2d(kernel, stride, padding)])), channels
    if kind == "sum":
        return nn.Sequential(Sum(nn.Conv2d(channels, channels, 1), nn.MaxPool2d(3, 1, 1)), activation), channels
    if kind == "cat":
        made = Cat(nn.Conv2d(channels, width, 1), nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Identity())
        return made, width + 2 * channels
    if kind == "cell":
        convolution = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1), nn.BatchNorm2d(channels))
        pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        edges = [Zero(), nn.Identity(), convolution, pool]
        return Sum(*draw(st.lists(st.sampled_from(edges), min_size=1, max_size=4, unique=True))), channels
    if kind == "act":
        return activation, channels
    return nn.BatchNorm2d(channels), channels


@st.composite
def networks(draw):
    """A random classifier and the (C, H, W) of its input."""
    channels = draw(st.integers(1, 3))
    shape = (channels, draw(st.integers(5, 17)), draw(st.integers(5, 17)))
    layers = []
    torch.manual_seed(draw(st.integers(0, 2**16)))
    for _ in range(draw(st.integers(1, 5))):
        layer, channels = draw(_step(channels))
        layers.append(layer)
    body = nn.Sequential(*layers)
    try:
        with torch.no_grad():
            _, c, h, w = body.eval()(torch.zeros(1, *shape)).shape
    except RuntimeError:  # shrunk to nothing
        body, (c, h, w) = nn.Sequential(), shape
    if draw(st.booleans()):
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(c, 7))
    else:
        head = nn.Sequential(nn.Flatten(), nn.Linear(c * h * w, 7))
    return randomise(nn.Sequential(body, head), seed=1), shape
