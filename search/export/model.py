"""What an export returns."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fault_injection.sites import SiteLink
from search.export.graph import Shape

Format = Literal["tflite", "onnx"]


@dataclass(frozen=True)
class ExportedModel:
    """A model file and what one must know to feed it.

    Attributes:
        data: the file.
        format: ``tflite`` or ``onnx``.
        precision: a :class:`~search.export.precision.Precision`, or "mixed".
        input_name: of the input in the file's (signature's) own words.
        output_name: of the output, likewise.
        input_shape: as the file wants it: (N, H, W, C) in ``.tflite``, (N, C, H, W) in ``.onnx``.
        output_shape: as the file returns it.
        sites: of a ``.tflite`` file, one for each call of a layer that multiplies and accumulates, in the order in
            which they run: where faults can be put.
        digest: SHA-256 of the file, hexadecimal: its name everywhere.
    """

    data: bytes = field(repr=False)
    format: Format
    precision: str
    input_name: str
    output_name: str
    input_shape: Shape
    output_shape: Shape
    sites: tuple[SiteLink, ...] = field(default=(), repr=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(self.data).hexdigest())

    @property
    def size_bytes(self) -> int:
        """Length of the file."""
        return len(self.data)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file, whole or not at all.

        Args:
            path: where to; an older file there is replaced.
        """
        target = Path(path)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(self.data)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target
