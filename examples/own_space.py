"""A space of your own: choices, and how to build a network from them. Searched by examples/own_space.yaml.

Each parameter is annotated with what it can be. `last_kernel` counts only in networks that are deep enough to have it.
"""

from torch import nn

from gauntlet import Choice, space


@space(image_shape=(1, 16, 16), classes=10)
def build(
    depth: Choice(2, 3, 4),
    width: Choice(8, 16, 24),
    kernel: Choice(3, 5),
    last_kernel: Choice(1, 3, when=lambda depth: depth > 2),
    separable: Choice(False, True),
) -> nn.Module:
    """Convolutions of one width, the map halved after each of the first two."""
    layers, channels = [], 1
    for index in range(depth):
        size = last_kernel if index > 1 and index == depth - 1 else kernel
        if separable and index:
            layers += [nn.Conv2d(channels, channels, size, padding=size // 2, groups=channels, bias=False)]
            size = 1
        layers += [nn.Conv2d(channels, width, size, padding=size // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        if index < 2:
            layers.append(nn.MaxPool2d(2))
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
