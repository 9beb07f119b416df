"""Faults that autograd knows about: what is hit no longer depends on what was there, and hands back no gradient."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fault_injection.pytorch.coding import FloatArray
from fault_injection.pytorch.layout import feature_places, write


class HitFeatures(torch.autograd.Function):
    """A feature map with some values replaced; zero gradient there, as in FTT-NAS' public code."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, elements: NDArray[Any], faulty: FloatArray) -> Tensor:
        """A copy with faults in it.

        Args:
            ctx: of autograd.
            values: (N, C, H, W) or (N, …, C).
            elements: that are hit, in the file's order, shape (n,).
            faulty: what they become, shape (n,).
        """
        ctx.elements = elements
        result = values.clone()
        write(result, feature_places(elements, result), faulty)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tuple[Tensor, None, None]:
        """The gradient but for the elements that were hit."""
        (gradient,) = gradients
        kept = gradient.clone()
        write(kept, feature_places(ctx.elements, kept), np.zeros(len(ctx.elements), np.float32))
        return kept, None, None


class HitWeights(torch.autograd.Function):
    """A parameter with some values replaced; zero gradient there."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, places: NDArray[Any], faulty: FloatArray) -> Tensor:
        """A copy with faults in it.

        Args:
            ctx: of autograd.
            parameter: any shape.
            places: that are hit, as indices into its memory, shape (n,).
            faulty: what they become, shape (n,).
        """
        hit = torch.zeros_like(parameter, dtype=torch.bool)
        result = parameter.clone()
        assert result.stride() == hit.stride() == parameter.stride(), "parameters lie densely in memory"
        write(hit, places, np.ones(len(places), np.float32))
        write(result, places, faulty)
        ctx.save_for_backward(hit)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tuple[Tensor, None, None]:
        """The gradient but for the places that were hit."""
        (hit,) = ctx.saved_tensors
        return gradients[0].masked_fill(hit, 0.0), None, None
