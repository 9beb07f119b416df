"""What a supernet is: one set of weights for all networks of a space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor, nn

from search.errors import SearchError
from search.spaces.base import Architecture, Space
from search.spaces.ftt import FttSpace
from search.spaces.mobile import MobileSpace
from search.spaces.nb201 import Nb201Space

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


def make_supernet(space: Space, seed: int = 0, *, sets: int | None = None) -> SharedWeights:
    """The shared weights of a space, untrained.

    Args:
        space: of the networks.
        seed: of the weights to begin with; torch's own generator is left alone.
        sets: of weights that the operations of a cell draw from, at last, for training by `close`
            (:attr:`~search.supernet.settings.TrainSettings.sets`); None: each operation has its own.

    Raises:
        SearchError: the space has no supernet, or none with sets of weights.
    """
    maker = _maker(space, sets)
    if maker is None:
        raise SearchError(f"networks of {space.name} have no weights to share", "train each of them alone")
    return maker(seed)


def _maker(space: Space, sets: int | None = None) -> Callable[[int], SharedWeights] | None:
    # Imported here, because supernets are made from the class above.
    from search.supernet.cells_ftt import FttSupernet
    from search.supernet.cells_nb201 import Nb201Supernet
    from search.supernet.elastic import Supernet

    if isinstance(space, MobileSpace):
        if sets is not None:
            raise SearchError(
                f"operations of {space.name} draw their weights from no sets",
                "choose a space of cells (kind nb201 or ftt), or another method than close",
            )
        return partial(Supernet, space)
    if isinstance(space, Nb201Space):
        return partial(Nb201Supernet, space, sets=sets)
    if isinstance(space, FttSpace):
        return partial(FttSupernet, space, sets=sets)
    return None
