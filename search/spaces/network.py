"""A mobile network as a plain torch module: what is trained alone, and what is exported."""

from __future__ import annotations

from torch import Tensor, nn

from search.spaces.plan import BlockPlan, Plan


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution for a BatchNorm to follow, padded by half its window."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class Bottleneck(nn.Module):
    """Inverted bottleneck (Sandler et al. 2018, MobileNetV2, table 1): expand, filter each channel, project."""

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        self.expand = convolution(plan.inputs, plan.hidden, 1)
        self.expand_bn = nn.BatchNorm2d(plan.hidden)
        self.depthwise = convolution(plan.hidden, plan.hidden, plan.kernel, plan.stride, groups=plan.hidden)
        self.depthwise_bn = nn.BatchNorm2d(plan.hidden)
        self.project = convolution(plan.hidden, plan.outputs, 1)
        self.project_bn = nn.BatchNorm2d(plan.outputs)
        self.activation = nn.ReLU6()
        self.residual = plan.residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, width, H / stride, W / stride)."""
        y: Tensor = self.activation(self.expand_bn(self.expand(x)))
        y = self.activation(self.depthwise_bn(self.depthwise(y)))
        y = self.project_bn(self.project(y))
        return x + y if self.residual else y


class Plain(nn.Module):
    """One convolution; where shapes allow, its input is added before the activation (He et al. 2016, fig. 2)."""

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        self.conv = convolution(plan.inputs, plan.outputs, plan.kernel, plan.stride)
        self.bn = nn.BatchNorm2d(plan.outputs)
        self.activation = nn.ReLU6()
        self.residual = plan.residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, width, H / stride, W / stride)."""
        y = self.bn(self.conv(x))
        result: Tensor = self.activation(x + y if self.residual else y)
        return result


class Network(nn.Module):
    """A whole network of the mobile space."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.stem = convolution(plan.image_shape[0], plan.stem, 3, plan.stem_stride)
        self.stem_bn = nn.BatchNorm2d(plan.stem)
        self.activation = nn.ReLU6()
        self.blocks = nn.Sequential(*(Bottleneck(b) if b.kind == "m" else Plain(b) for b in plan.blocks))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(plan.features, plan.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → logits (N, classes)."""
        x = self.blocks(self.activation(self.stem_bn(self.stem(x))))
        logits: Tensor = self.head(self.flatten(self.pool(x)))
        return logits
