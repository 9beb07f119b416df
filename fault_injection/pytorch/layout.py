"""Where an element that is counted in the deployed order lies in the memory of a torch tensor."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fault_injection.sites import SiteLink

_INT32 = 1 << 31
_PLAIN = (torch.float32, torch.bool)


def flat_memory(tensor: Tensor) -> Tensor:
    """The tensor's memory from its first value to its last, as a vector; what is written there is in the tensor."""
    detached = tensor.detach()
    return detached.as_strided((_span(tensor.shape, tensor.stride()),), (1,))


def feature_places(elements: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    """Places of elements of a feature map.

    Args:
        elements: of a batch of maps in the order (N, H, W, C), or of what a dense layer gives in its own, shape (n,).
        tensor: (N, C, H, W) in whatever memory format, or (N, …, C).

    Returns:
        Indices into :func:`flat_memory`, shape (n,).
    """
    shape, strides = tensor.shape, tensor.stride()
    if tensor.dim() != 4:
        if tensor.is_contiguous():
            return elements
        return _strided(elements, shape, strides)
    samples, channels, height, width = shape
    if tensor.is_contiguous(memory_format=torch.channels_last):
        return elements
    if not tensor.is_contiguous():
        return _strided(elements, (samples, height, width, channels), (strides[0], strides[2], strides[3], strides[1]))
    area = height * width
    if tensor.numel() < _INT32:
        elements = elements.astype(np.int32, copy=False)  # half the traffic; numpy divides it by multiplying
    # e = pixel · C + c and pixel = n · area + p; the place is (n · C + c) · area + p.
    pixel = elements // channels
    place: NDArray[Any] = elements - pixel * channels
    sample = pixel // area
    sample *= channels - 1
    place += sample
    place *= area
    place += pixel
    return place


def _strided(elements: NDArray[Any], shape: Sequence[int], strides: Sequence[int]) -> NDArray[Any]:
    parts = np.unravel_index(elements, tuple(shape))
    places = np.zeros(len(elements), np.int64)
    for part, stride in zip(parts, strides):
        places += part * stride
    return places


def weight_places(weight: Tensor, parameter: Tensor, link: SiteLink) -> NDArray[Any]:
    """Places of all elements of a weight tensor.

    Args:
        weight: what a layer uses: the parameter or a view of some of it.
        parameter: in whose memory it lies.
        link: its order in the file.

    Returns:
        In the file's shape, at each element its index into the parameter's :func:`flat_memory`.
    """
    span = _span(parameter.shape, parameter.stride())
    dtype = torch.int32 if span < _INT32 else torch.int64
    offset = weight.storage_offset() - parameter.storage_offset()
    places = torch.arange(span, dtype=dtype).as_strided(weight.shape, weight.stride(), offset).numpy()
    return np.ascontiguousarray(link.in_file_order(places))


def _span(shape: Sequence[int], strides: Tuple[int, ...]) -> int:
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides))


def read(tensor: Tensor, places: NDArray[Any]) -> NDArray[np.float32]:
    """The values at some places of a tensor's memory, shape (n,)."""
    flat = flat_memory(tensor)
    if _plain(flat):
        values: NDArray[np.float32] = flat.numpy().take(places)
        return values
    index = torch.from_numpy(places.astype(np.int64)).to(flat.device)
    result: NDArray[np.float32] = flat[index].float().cpu().numpy()
    return result


def write(tensor: Tensor, places: NDArray[Any], values: NDArray[np.float32]) -> None:
    """Overwrite the values at some places of a tensor's memory, unseen by autograd."""
    flat = flat_memory(tensor)
    if _plain(flat):
        flat.numpy()[places] = values
        return
    index = torch.from_numpy(places.astype(np.int64)).to(flat.device)
    flat[index] = torch.from_numpy(values).to(flat)


def plain_memory(tensor: Tensor) -> Optional[NDArray[np.float32]]:
    """:func:`flat_memory` as an array, if the tensor's is one."""
    flat = flat_memory(tensor)
    return flat.numpy() if _plain(flat) else None


def _plain(flat: Tensor) -> bool:
    """Numpy reads and writes it at a fraction of what torch's own indexing costs for few values."""
    return flat.device.type == "cpu" and flat.dtype in _PLAIN
