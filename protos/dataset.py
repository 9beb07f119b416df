"""Data sets and reference outputs as artifacts: one `.npz` file of named arrays and a description, never pickled.

    meta.json               {"format": 1, "name": "digits-test", "metric": "top1", "preprocessing": "x / 255"}
    inputs/<tensor>.npy     shape (n, …), one for each input of the model; the single input of most is "input"
    labels.npy              shape (n,), integer class numbers; absent in a file of reference outputs
    outputs/<tensor>.npy    shape (n, …), reference outputs; absent in a data set

Inputs are real-valued (float32) as the model saw them in training, after preprocessing; the device quantises them for
a quantised model. Integer inputs of the model's own type are passed as they are.
"""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Mapping, Optional

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
MAX_UNCOMPRESSED_BYTES = 2 * 1024**3
_META = "meta.json"
_MAX_META_BYTES = 64 * 1024
#: What `numpy.save` writes; format 3 is for names of fields, which plain arrays do not have.
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class DataSetError(ValueError):
    """A file that is no data set, or arrays that do not belong together."""


@dataclass(frozen=True)
class DataSet:
    """Arrays with equal first dimension.

    Attributes:
        inputs: by tensor name, shape (n, …).
        labels: shape (n,), int64, or None.
        outputs: reference outputs by tensor name, shape (n, …).
        meta: description: name, metric, preprocessing.
    """

    inputs: Dict[str, NDArray[np.generic]]
    labels: Optional[NDArray[np.int64]] = None
    outputs: Dict[str, NDArray[np.generic]] = field(default_factory=dict)
    meta: Dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.inputs:
            raise DataSetError("a data set needs at least one input array")
        arrays = {**{f"inputs/{k}": v for k, v in self.inputs.items()}}
        arrays.update({f"outputs/{k}": v for k, v in self.outputs.items()})
        if self.labels is not None:
            if self.labels.ndim != 1 or self.labels.dtype.kind not in "iu":
                raise DataSetError(
                    f"labels must be a vector of class numbers, not {self.labels.dtype} {self.labels.shape}"
                )
            if self.labels.size and int(self.labels.min()) < 0:
                raise DataSetError(f"labels must not be negative, found {int(self.labels.min())}")
            arrays["labels"] = self.labels
        lengths = {name: array.shape[0] if array.ndim else 0 for name, array in arrays.items()}
        if len(set(lengths.values())) != 1:
            raise DataSetError(f"arrays of different length: {lengths}")
        if not len(self):
            raise DataSetError("a data set needs at least one sample")
        for name, array in arrays.items():
            if array.dtype.kind not in "iufb":
                raise DataSetError(f"{name}: arrays must be numeric, not {array.dtype}")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DataSetError(f"{name}: holds NaN or infinity")

    def __len__(self) -> int:
        return int(next(iter(self.inputs.values())).shape[0])


def save(path: Path, data: DataSet) -> None:
    """Write `data`; equal content gives an equal file, hence an equal digest."""
    arrays: Dict[str, NDArray[np.generic]] = {f"inputs/{k}": v for k, v in data.inputs.items()}
    arrays.update({f"outputs/{k}": v for k, v in data.outputs.items()})
    if data.labels is not None:
        arrays["labels"] = data.labels
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        meta = {"format": FORMAT, **data.meta}
        # A fixed date: the file's name is its digest.
        archive.writestr(zipfile.ZipInfo(_META), json.dumps(meta, sort_keys=True))
        for name in sorted(arrays):
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), allow_pickle=False)


def load(path: Path) -> DataSet:
    """Read a data set.

    Raises:
        DataSetError: the file is none, is too large unpacked, or its arrays do not belong together.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
            if unpacked > MAX_UNCOMPRESSED_BYTES:
                raise DataSetError(f"{unpacked} bytes unpacked, more than {MAX_UNCOMPRESSED_BYTES}")
            if archive.getinfo(_META).file_size > _MAX_META_BYTES:
                raise DataSetError(f"meta.json has more than {_MAX_META_BYTES} bytes")
            meta = json.loads(archive.read(_META))
            if not isinstance(meta, dict) or meta.get("format") != FORMAT:
                raise DataSetError(f"meta.json does not say format {FORMAT}")
            members = [info for info in archive.infolist() if info.filename != _META]
            arrays = {info.filename[: -len(".npy")]: _read(archive, info) for info in members}
    except DataSetError:
        raise
    except Exception as error:  # of zipfile, zlib, numpy and json there is no end of them
        raise DataSetError(f"not a data set: {' '.join(str(error).split())}") from error
    return DataSet(
        inputs=_below("inputs/", arrays),
        labels=arrays.get("labels"),  # type: ignore[arg-type]  # checked by DataSet
        outputs=_below("outputs/", arrays),
        meta={str(k): str(v) for k, v in meta.items() if k != "format"},
    )


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[np.generic]:
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        if version not in _HEADERS:
            raise DataSetError(f"{info.filename}: an array in format {version} of numpy")
        shape, _, dtype = _HEADERS[version](member)
        # numpy takes the memory that the header promises before it reads what comes.
        if math.prod(shape) * dtype.itemsize > info.file_size:
            raise DataSetError(f"{info.filename}: is shorter than its shape {shape} says")
    with archive.open(info) as member:
        array: NDArray[np.generic] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _below(prefix: str, arrays: Mapping[str, NDArray[np.generic]]) -> Dict[str, NDArray[np.generic]]:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
