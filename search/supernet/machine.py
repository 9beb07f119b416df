"""Where a training computes, and in which precision: one code path for processors and for graphics processors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search.data import Split
from search.errors import SearchError
from search.supernet.settings import PrecisionName

_DTYPES = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}
_MOST_OF_FREE = 0.5
"""Share of a device's free memory that the data may take; the rest is for the networks."""


@dataclass(frozen=True)
class Machine:
    """A device and a precision.

    Attributes:
        device: of torch.
        dtype: in which layers compute where torch deems it safe (`autocast`); None: all in 32 bits.
    """

    device: torch.device
    dtype: torch.dtype | None

    @classmethod
    def of(cls, device: str, precision: PrecisionName) -> Machine:
        """The one that settings name.

        Args:
            device: see :func:`find_device`.
            precision: none, bf16 or fp16.

        Raises:
            SearchError: there is no such device.
        """
        return cls(find_device(device), _DTYPES[precision])

    def running(self, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """A network's forward pass in this precision; logits come out in 32 bits, for the loss."""
        if self.dtype is None:
            return forward

        def mixed(images: Tensor) -> Tensor:
            with torch.autocast(self.device.type, self.dtype):
                return forward(images).float()

        return mixed

    def scaler(self) -> torch.amp.GradScaler:
        """Keeps gradients of 16-bit floats (fp16) out of the numbers too small for them; does nothing otherwise."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)

    def held(self, split: Split) -> Split:
        """The images on the device, moved once, where they leave it half of its free memory; else as they were."""
        if self.device.type == "cpu":
            return split
        free, _ = torch.cuda.mem_get_info(self.device)
        if split.images.nbytes + split.labels.nbytes > _MOST_OF_FREE * free:
            return split
        return Split(split.images.to(self.device), split.labels.to(self.device))

    def place(self, module: nn.Module) -> None:
        """Move a network there, in place."""
        # Channels last: twice as fast on a CPU where most layers are 1×1 or depthwise.
        module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forget(self) -> None:
        """Give memory back that torch keeps for later."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def find_device(name: str) -> torch.device:
    """The device that a setting names.

    Args:
        name: cpu, cuda, cuda:1, …; auto is the first graphics processor, or the CPU where torch finds none.

    Raises:
        SearchError: torch does not find it.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    number = int(name.partition(":")[2] or 0)
    if number >= count:
        has = f"torch finds {count} such device{'s' * (count > 1)}" if count else "torch finds no CUDA device"
        raise SearchError(
            f"device {name}: {has} on this machine", "write device: auto, which takes what is there, or device: cpu"
        )
    return torch.device("cuda", number)
