"""Where a layer of a network lies in the file that is deployed: what whoever exports promises to whoever breaks.

A fault is drawn once for a place (tensor, element), be it injected into the torch module or into the deployed file.
For features the places agree up to the order of dimensions, (N, C, H, W) in torch and (N, H, W, C) in the file. For
weights the file's layouts are

==========  ============================  =============================================================
kind        torch                         file
==========  ============================  =============================================================
conv        (O, I / groups, H, W)         (O, H, W, I / groups)
depthwise   (C · m, 1, H, W)              (1, H, W, C · m)
dense       (O, I)                        (O, I); behind a flattened map the columns are in another order
==========  ============================  =============================================================

A convolution of several groups, each of one channel, is depthwise; ``m`` is its number of filters per channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Tuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONV = "conv"
DEPTHWISE = "depthwise"
DENSE = "dense"


@dataclass(frozen=True)
class SiteLink:
    """One call of a layer that multiplies and accumulates, as it is in torch and in the file.

    A module that is called several times has one link per call, with the same `path`. Each call has a weight tensor
    of its own in the file, since a BatchNorm of its own may be folded into it: a fault in the one set of weights that
    torch has is a fault in all these tensors.

    Attributes:
        path: of the torch module, such as ``layer1.0.conv1``; empty if it is the whole network. The module is a
            Conv2d or Linear, or a BatchNorm2d that could not be folded and is a depthwise 1×1 convolution in the file.
        kind: `CONV`, `DEPTHWISE` or `DENSE`: the operator in the file.
        weight: name of the weight tensor in the file, with BatchNorm folded in.
        feature: name of the tensor that the operator writes, after its fused activation if it has one.
        fused_activation: ``none``, ``relu`` or ``relu6``: what the operator applies before it writes.
        flattened: (C, H, W) of the map whose flattening a dense layer reads: torch flattens it in this order, the file
            in the order (H, W, C), and so the columns of its weights differ. None where there is no such map.
    """

    path: str
    kind: str
    weight: str
    feature: str
    fused_activation: str
    flattened: Optional[Tuple[int, int, int]] = None

    def in_file_order(self, weight: NDArray[Any]) -> NDArray[Any]:
        """A weight array of torch's layout in the file's.

        Of an array of torch's flat indices, ``np.arange(size).reshape(shape)``, it makes the map of places: its
        element at a place in the file is the flat index in torch.

        Args:
            weight: shaped as in torch.
        """
        if self.kind == CONV:
            return weight.transpose(0, 2, 3, 1)
        if self.kind == DEPTHWISE:
            return weight.transpose(1, 2, 3, 0)
        if self.flattened is None:
            return weight
        return weight.reshape(-1, *self.flattened).transpose(0, 2, 3, 1).reshape(weight.shape)
