"""The networks that are not searched: people's own, as spaces of one network each, so that they are trained alike."""

from __future__ import annotations

from torch import Tensor, nn

from benchmarks._cifar_resnet import CifarResNet
from benchmarks._ftt_settings import MOBILENET, RESNET, VGG
from benchmarks.export import InvertedBottleneck
from search.spaces.choices import Choice
from search.spaces.user import UserSpace

#: Expansion, width at full size, blocks and stride of MobileNetV2's stages (Sandler et al., table 2), halved once less
#: than is usual for 32 × 32 images: maps of 16 × 16 become 4 × 4.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 1), (6, 320, 1, 1))


def resnet(depth: int) -> nn.Module:
    """He et al.'s for CIFAR-10, 16 to 64 channels."""
    return CifarResNet(depth)


def mobilenet(quarters: int, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """MobileNetV2, its width in quarters, channels rounded to multiples of 8 as its authors do, 320 at the end."""
    before = _eights(32, quarters)
    layers: list[nn.Module] = [
        nn.Conv2d(image_shape[0], before, 3, 1, 1, bias=False),
        nn.BatchNorm2d(before),
        nn.ReLU6(),
    ]
    for expansion, full, depth, stride in _STAGES:
        width = _eights(full, quarters)
        for index in range(depth):
            layers.append(InvertedBottleneck(before, width, stride if index == 0 else 1, expansion))
            before = width
    features = _eights(1280, quarters)
    layers += [nn.Conv2d(before, features, 1, bias=False), nn.BatchNorm2d(features), nn.ReLU6()]
    return nn.Sequential(*layers, _Mean(), nn.Linear(features, classes))


def vgg(width: int, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Three pairs of convolutions in the manner of Simonyan and Zisserman, the map halved between them."""
    layers: list[nn.Module] = []
    before = image_shape[0]
    for stage in range(3):
        if stage:
            layers.append(nn.MaxPool2d(2))
        for _ in range(2):
            layers += [
                nn.Conv2d(before, width << stage, 3, 1, 1, bias=False),
                nn.BatchNorm2d(width << stage),
                nn.ReLU(),
            ]
            before = width << stage
    return nn.Sequential(*layers, _Mean(), nn.Linear(before, classes))


_BUILDERS = {
    RESNET: (resnet, "depth", 20),
    MOBILENET: (mobilenet, "quarters", 1),
    VGG: (vgg, "width", 32),
}


def baseline(name: str, image_shape: tuple[int, int, int], classes: int) -> UserSpace:
    """The space that holds this network alone."""
    builder, parameter, option = _BUILDERS[name]
    return UserSpace(builder, {parameter: Choice(option)}, image_shape, classes)


class _Mean(nn.Module):
    """Over the map."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C)."""
        return x.mean((2, 3))


def _eights(width: int, quarters: int) -> int:
    return max(8, (width * quarters // 4 + 4) // 8 * 8)
