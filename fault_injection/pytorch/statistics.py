"""BatchNorm's running statistics, kept as they are while a network runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Dict, Iterator, List, Tuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

_NAMES = ("running_mean", "running_var", "num_batches_tracked")


@contextmanager
def kept_statistics(module: nn.Module) -> Iterator[None]:
    """Whatever runs meanwhile updates copies of the running statistics, which are dropped in the end.

    In training mode a BatchNorm normalises with the statistics of the batch, here as ever; in evaluation mode with the
    running ones. The tensors themselves are not written to, so that graphs of autograd that hold them stay valid.
    """
    kept: List[Tuple[Dict[str, Tensor], str, Tensor]] = []
    for part in module.modules():
        if isinstance(part, _NormBase):
            for name in _NAMES:
                tensor = part._buffers.get(name)
                if tensor is not None:
                    kept.append((part._buffers, name, tensor))  # type: ignore[arg-type]
    try:
        for buffers, name, tensor in kept:
            buffers[name] = tensor.clone()
        yield
    finally:
        for buffers, name, tensor in kept:
            buffers[name] = tensor
