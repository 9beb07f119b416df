"""Is there an accelerator to run on? Told by device files alone: at an agent's start no driver is loaded."""

from __future__ import annotations

from pathlib import Path

#: What runtimes call the ways to run on it.
GPU_DELEGATES = ("cuda", "tensorrt")
#: Of a graphics card, and of a Jetson, whose GPU has no /dev/nvidia0 before JetPack 6.
_NVIDIA = ("dev/nvidia0", "dev/nvhost-gpu", "dev/nvgpu")


def has_nvidia_gpu(root: Path = Path("/")) -> bool:
    """Does this machine have an NVIDIA GPU with its driver?

    Args:
        root: of the file system, or of a made-up one.
    """
    return any((root / name).exists() for name in _NVIDIA)
