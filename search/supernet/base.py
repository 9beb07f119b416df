"""What a supernet is: one set of weights for all networks of a space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor, nn

from search.errors import SearchError
from search.spaces.base import Architecture, Space
from search.spaces.mobile import MobileSpace

if TYPE_CHECKING:
    from collections.abc import Callable


class SharedWeights(nn.Module, ABC):
    """The weights that the networks of a space share; each network uses a part of them.

    Attributes:
        space: whose networks they are for.
    """

    space: Space

    @abstractmethod
    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """(N, C, H, W) → logits (N, classes) of one network, in training mode throughout."""

    @abstractmethod
    def subnet(self, architecture: Architecture, images: Tensor | None = None) -> nn.Module:
        """A network by itself, with copies of its weights, in evaluation mode.

        Args:
            architecture: any spelling.
            images: (N, C, H, W), training images to measure the statistics of its BatchNorms on; a few hundred do.
                Without them the network is good for nothing but further training.
        """


def has_supernet(space: Space) -> bool:
    """Can networks of this space share weights?"""
    return _maker(space) is not None


def make_supernet(space: Space, seed: int = 0) -> SharedWeights:
    """The shared weights of a space, untrained.

    Args:
        space: of the networks.
        seed: of the weights to begin with; torch's own generator is left alone.

    Raises:
        SearchError: the space has no supernet.
    """
    maker = _maker(space)
    if maker is None:
        raise SearchError(f"networks of {space.name} have no weights to share", "train each of them alone")
    return maker(seed)


def _maker(space: Space) -> Callable[[int], SharedWeights] | None:
    # Imported here, because supernets are made from the class above.
    from search.supernet.elastic import Supernet

    if isinstance(space, MobileSpace):
        return lambda seed: Supernet(space, seed)
    return None
