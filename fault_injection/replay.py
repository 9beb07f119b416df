"""Patterns of faults as a file: to replay exactly what happened, on another machine or half, and to share it.

The file is a NumPy archive (``.npz``, nothing pickled): a JSON header with the plan, the sites and a fingerprint of the
model that they belong to, and for all groups of faults together their elements (as distances from one to the next),
operands, and how many each group has.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np
from numpy.typing import NDArray

from fault_injection.errors import FaultError
from fault_injection.plan import FaultPlan
from fault_injection.space import Effect, Faults, Site, check

_FORMAT = "gauntlet faults 1"
_PARTS = ("header", "numbers", "pattern", "site", "effect", "count", "steps", "operands")
#: A few bytes can unpack to many; no file of ours comes near.
_MOST_BYTES = 1 << 30
_OPERANDS = {Effect.FLIP: np.uint8, Effect.SET: np.uint8, Effect.STICK: np.uint16, Effect.ADD: np.int16}


@dataclass(frozen=True, eq=False)
class FaultRecord:
    """Patterns that were, or are to be, injected.

    Attributes:
        plan: how they were drawn; nothing is drawn again.
        model_digest: SHA-256 of the model's file, or another name for the network.
        sites: that the plan selected.
        samples: of features, samples of the data set that each pattern covers; 0 for weights.
        patterns: faults by the pattern's number; the order of the sites is kept.
    """

    plan: FaultPlan
    model_digest: str
    sites: Tuple[Site, ...]
    samples: int = 0
    patterns: Mapping[int, List[Faults]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The file."""
        number = {site.name: index for index, site in enumerate(self.sites)}
        groups = [(pattern, group) for pattern, drawn in sorted(self.patterns.items()) for group in drawn]
        header = {
            "format": _FORMAT,
            "plan": self.plan.to_dict(),
            "model": self.model_digest,
            "samples": self.samples,
            "sites": [
                [s.name, s.operator, list(s.shape), s.channel_axis, s.macs, s.bits, s.zero, s.signed]
                for s in self.sites
            ],
        }
        file = io.BytesIO()
        np.savez_compressed(
            file,
            header=np.frombuffer(json.dumps(header).encode(), np.uint8),
            numbers=np.array(sorted(self.patterns), "<u8"),
            pattern=np.array([pattern for pattern, _ in groups], "<u8"),
            site=np.array([number[group.site] for _, group in groups], "<i4"),
            effect=np.array([group.effect for _, group in groups], "<u1"),
            count=np.array([len(group) for _, group in groups], "<i8"),
            steps=_narrow(_joined([np.diff(group.elements, prepend=0) for _, group in groups])),
            operands=_narrow(_joined([group.operands for _, group in groups])),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> FaultRecord:
        """Read a file.

        Raises:
            FaultError: it is none, is damaged, or names faults outside of its own sites.
        """
        try:
            arrays = _arrays(content)
            header = json.loads(arrays["header"].tobytes())
            if header["format"] != _FORMAT:
                raise FaultError(f"a file of faults in the form {header['format']!r}; this version reads {_FORMAT!r}")
            record = cls(
                plan=FaultPlan.from_dict(header["plan"]),
                model_digest=str(header["model"]),
                sites=tuple(_site(*fields) for fields in header["sites"]),
                samples=int(header["samples"]),
                patterns={int(pattern): [] for pattern in arrays["numbers"]},
            )
            if record.samples < 0 or len({site.name for site in record.sites}) != len(record.sites):
                raise ValueError("samples below 0, or two sites of one name")
            _fill(record, arrays)
            for drawn in record.patterns.values():
                check(drawn, record.sites, max(1, record.samples))
        except FaultError:
            raise
        except Exception as error:  # of zipfile, zlib, numpy and json there is no end of them
            raise FaultError(f"not a file of faults, or a damaged one: {' '.join(str(error).split())}") from error
        return record


def _arrays(content: bytes) -> Dict[str, NDArray[Any]]:
    """The parts of the archive, all of integers and one dimension."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > _MOST_BYTES:
            raise ValueError(f"{size} bytes unpacked; {_MOST_BYTES} are allowed")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in _PARTS}
    for name, array in arrays.items():
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise ValueError(f"{name} are no whole numbers in a row")
    return arrays


def _site(
    name: str, operator: str, shape: List[int], channel_axis: int, macs: int, bits: int, zero: int, signed: bool
) -> Site:
    numbers = [*shape, channel_axis, macs, bits, zero]
    if not all(isinstance(text, str) for text in (name, operator)) or not all(type(n) is int for n in numbers):
        raise TypeError(f"site {name!r} has fields of other types")
    if min(numbers[:-1]) < 0 or channel_axis >= len(shape) or bits not in (8, 32) or not isinstance(signed, bool):
        raise ValueError(f"site {name!r} cannot be: {numbers}")
    return Site(name, operator, tuple(shape), channel_axis, macs, bits, zero, signed)


def _fill(record: FaultRecord, arrays: Dict[str, NDArray[Any]]) -> None:
    counts, steps, operands = arrays["count"], arrays["steps"], arrays["operands"]
    groups = len(counts)
    if any(len(arrays[name]) != groups for name in ("pattern", "site", "effect")) or (counts < 0).any():
        raise ValueError("its parts do not fit together")
    lengths = counts.tolist()
    if len(steps) != sum(lengths) or len(operands) != len(steps) or (arrays["site"] < 0).any():
        raise ValueError("its parts do not fit together")
    end = 0
    for index, count in enumerate(lengths):
        end += count
        site, effect = record.sites[arrays["site"][index]], Effect(int(arrays["effect"][index]))
        word: np.dtype[Any] = (
            np.dtype(np.uint32) if effect is Effect.FLIP and site.bits > 8 else np.dtype(_OPERANDS[effect])
        )
        given = operands[end - count : end]
        limits = np.iinfo(word)
        if count and not limits.min <= int(given.min()) <= int(given.max()) <= limits.max:
            raise ValueError(f"an operand is too large for {effect.name.lower()}")
        elements = np.cumsum(steps[end - count : end], dtype=np.int64)
        record.patterns[int(arrays["pattern"][index])].append(Faults(site.name, effect, elements, given.astype(word)))


def _joined(arrays: List[NDArray[Any]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *arrays]).astype(np.int64)


def _narrow(numbers: NDArray[np.int64]) -> NDArray[Any]:
    """The same numbers in the narrowest type that holds them all, little-endian."""
    low, high = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    for code in ("<u1", "<i2", "<u2", "<i4", "<u4"):
        limits = np.iinfo(np.dtype(code))
        if limits.min <= low and high <= limits.max:
            return numbers.astype(code)
    return numbers
