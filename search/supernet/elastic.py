"""One set of weights for all networks of a mobile space (BigNAS, Yu et al. 2020).

A smaller network uses a part of the largest one's weights: the first channels, the centre of the windows, the first
blocks of a stage. Bottlenecks and plain convolutions at the same place have weights of their own.

::

    depthwise weights of a block, (hidden, 1, 7, 7)         ┌───────────────┐
    hidden = 24 of 64, kernel 3:  [:24, :, 2:5, 2:5]        │    ┌─────┐    │
                                                            │    │ 3×3 │    │
                                                            │    └─────┘    │
                                                            └───────────────┘
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from search.spaces import Architecture, MobileSpace
from search.spaces.network import Bottleneck, Network, Plain
from search.spaces.plan import BlockPlan
from search.supernet.base import SharedWeights
from search.supernet.recalibration import recalibrate


class ElasticConvolution(nn.Module):
    """A convolution with its BatchNorm, of which any part can be used.

    Outside subnets that :meth:`cut` made, BatchNorm always uses the statistics of the batch: averages over networks of
    different widths would fit none of them (Yu et al. 2018, Slimmable Neural Networks).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, depthwise: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        self.depthwise = depthwise
        self.weight = nn.Parameter(torch.empty(outputs, 1 if depthwise else inputs, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="relu")
        self.scale = nn.Parameter(torch.full((outputs,), scale))
        self.shift = nn.Parameter(torch.zeros(outputs))

    def part(self, inputs: int, outputs: int, kernel: int) -> Tensor:
        """The weights of a smaller convolution, as a view."""
        border = (self.weight.shape[-1] - kernel) // 2
        window = slice(border, border + kernel)
        return self.weight[:outputs, : 1 if self.depthwise else inputs, window, window]

    def forward(self, x: Tensor, outputs: int, kernel: int, stride: int = 1) -> Tensor:
        """(N, C, H, W) → (N, outputs, H / stride, W / stride), normalised, not activated."""
        inputs = x.shape[1]
        weight = self.part(inputs, outputs, kernel)
        y = F.conv2d(x, weight, None, stride, kernel // 2, 1, inputs if self.depthwise else 1)
        return F.batch_norm(y, None, None, self.scale[:outputs], self.shift[:outputs], training=True)

    def cut(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        """Copy the weights that a plain convolution and its BatchNorm need."""
        outputs, inputs, kernel, _ = convolution.weight.shape
        convolution.weight.copy_(self.part(inputs, outputs, kernel))
        norm.weight.copy_(self.scale[:outputs])
        norm.bias.copy_(self.shift[:outputs])


class ElasticBottleneck(nn.Module):
    """See :class:`~search.spaces.network.Bottleneck`."""

    def __init__(self, inputs: int, hidden: int, outputs: int, kernel: int, scale: float) -> None:
        super().__init__()
        self.expand = ElasticConvolution(inputs, hidden, 1)
        self.depthwise = ElasticConvolution(hidden, hidden, kernel, depthwise=True)
        self.project = ElasticConvolution(hidden, outputs, 1, scale=scale)

    def forward(self, x: Tensor, plan: BlockPlan) -> Tensor:
        """(N, C, H, W) → (N, width, H / stride, W / stride)."""
        y: Tensor = F.relu6(self.expand(x, plan.hidden, 1))
        y = F.relu6(self.depthwise(y, plan.hidden, plan.kernel, plan.stride))
        y = self.project(y, plan.outputs, 1)
        return x + y if plan.residual else y

    def cut(self, block: nn.Module) -> None:
        """Copy the weights that a plain block needs."""
        assert isinstance(block, Bottleneck)
        self.expand.cut(block.expand, block.expand_bn)
        self.depthwise.cut(block.depthwise, block.depthwise_bn)
        self.project.cut(block.project, block.project_bn)


class ElasticPlain(nn.Module):
    """See :class:`~search.spaces.network.Plain`."""

    def __init__(self, inputs: int, outputs: int, kernel: int, scale: float) -> None:
        super().__init__()
        self.conv = ElasticConvolution(inputs, outputs, kernel, scale=scale)

    def forward(self, x: Tensor, plan: BlockPlan) -> Tensor:
        """(N, C, H, W) → (N, width, H / stride, W / stride)."""
        y = self.conv(x, plan.outputs, plan.kernel, plan.stride)
        return F.relu6(x + y if plan.residual else y)

    def cut(self, block: nn.Module) -> None:
        """Copy the weights that a plain block needs."""
        assert isinstance(block, Plain)
        self.conv.cut(block.conv, block.bn)


class Supernet(SharedWeights):
    """The shared weights.

    Args:
        space: whose networks they are for.
        seed: of the weights to begin with; torch's own generator is left alone.
    """

    def __init__(self, space: MobileSpace, seed: int = 0) -> None:
        super().__init__()
        self.space: MobileSpace = space
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem = ElasticConvolution(space.image_shape[0], space.stem, 3)
            self.bottlenecks, self.plains = nn.ModuleDict(), nn.ModuleDict()
            kernel, expansion, inputs = max(space.kernels), max(space.expansions), space.stem
            for stage, widths in enumerate(space.widths):
                for index in range(space.depth):
                    key, outputs = f"{stage}_{index}", max(widths)
                    # Behind the first block of a stage all others begin as the identity (BigNAS, *initialization*),
                    # so that networks of any depth begin alike; eight points of inherited accuracy on the digits.
                    scale = 0.0 if index > 0 else 1.0
                    if "m" in space.kinds:
                        self.bottlenecks[key] = ElasticBottleneck(inputs, inputs * expansion, outputs, kernel, scale)
                    if "c" in space.kinds:
                        self.plains[key] = ElasticPlain(inputs, outputs, kernel, scale)
                    inputs = outputs
            self.head = nn.Linear(inputs, space.classes)
        # Twice as fast on a CPU where most layers are 1×1 or depthwise.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """(N, C, H, W) → logits (N, classes) of one network, in training mode throughout."""
        plan = self.space.plan(architecture)
        x = F.relu6(self.stem(x.to(memory_format=torch.channels_last), plan.stem, 3, plan.stem_stride))
        for block in plan.blocks:
            x = self._block(block)(x, block)
        return F.linear(x.mean((2, 3)), self.head.weight[:, : plan.features], self.head.bias)

    def subnet(self, architecture: Architecture, images: Tensor | None = None) -> Network:
        """A network by itself, with copies of its weights, in evaluation mode.

        Args:
            architecture: any spelling.
            images: (N, C, H, W), training images to measure the statistics of its BatchNorms on; a few hundred do.
                Without them the network is good for nothing but further training.
        """
        plan = self.space.plan(architecture)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            network = Network(plan)
            self.stem.cut(network.stem, network.stem_bn)
            for target, block in zip(network.blocks, plan.blocks, strict=True):
                self._block(block).cut(target)
            network.head.weight.copy_(self.head.weight[:, : plan.features])
            network.head.bias.copy_(self.head.bias)
        if images is not None:
            recalibrate(network, images)
        return network.eval()

    def _block(self, plan: BlockPlan) -> ElasticBottleneck | ElasticPlain:
        block = (self.bottlenecks if plan.kind == "m" else self.plains)[f"{plan.stage}_{plan.index}"]
        assert isinstance(block, ElasticBottleneck | ElasticPlain)
        return block
