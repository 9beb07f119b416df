"""Look at the user's files before anything is started: what is plainly wrong is refused here, in one line."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from gauntlet.errors import UsageError

if TYPE_CHECKING:
    from protos.dataset import DataSet

#: Media type by suffix of the models that can be measured.
MODEL_MEDIA_TYPES = {".tflite": "model/tflite", ".onnx": "model/onnx", ".pt2": "model/pt2"}
DATA_MEDIA_TYPE = "dataset/npz"
#: FlatBuffers address with 32 bits and a sign, and no protobuf message is longer; a zip archive such as .pt2 may be.
MAX_BYTES = {"model/tflite": 2**31 - 1, "model/onnx": 2**31 - 1}


def check_model(path: Path) -> str:
    """Look at a model file without reading it.

    Returns:
        Its media type.

    Raises:
        UsageError: no such file, not a file, empty, unreadable, too large for its format, or of an unknown kind.
    """
    size_bytes = _check_file(path, "model")
    media_type = MODEL_MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None:
        known = ", ".join(sorted(MODEL_MEDIA_TYPES))
        kind = f"files that end in {path.suffix}" if path.suffix else "files without a suffix"
        raise UsageError(
            f"{path}: {kind} are no models that gauntlet measures", f"give a model of a known kind: {known}"
        )
    most = MAX_BYTES.get(media_type)
    if most is not None and size_bytes > most:
        raise UsageError(
            f"{path}: {size_bytes:,} bytes, and a {path.suffix.lower()} file ends at {most:,}",
            "check that this is the model and not something else, or quantise it",
        )
    return media_type


def check_data(path: Path, needs: str) -> None:
    """Read a data set as the device will.

    Args:
        path: an `.npz` file.
        needs: "labels" for a data set, "outputs" for a reference.

    Raises:
        UsageError: not a file, no data set, or without what it needs.
    """
    _check_file(path, "data set")
    from protos.dataset import DataSetError, load

    try:
        data: DataSet = load(path)
    except DataSetError as error:
        raise UsageError(f"{path}: {error}", "write data sets with gauntlet.save_data_set(path, DataSet(…))") from error
    if needs == "labels" and data.labels is None:
        raise UsageError(f"{path}: holds no labels, so there is no accuracy to measure", "add labels.npy to it")
    if needs == "outputs" and not data.outputs:
        raise UsageError(
            f"{path}: holds no outputs/…, so there is nothing to compare with", "add outputs/<tensor>.npy to it"
        )


def check_size(path: Path, limit_bytes: int) -> None:
    """Refuse what the lab would not take.

    Raises:
        UsageError: the file is larger than `limit_bytes`; 0 means that the lab names no limit.
    """
    size_bytes = path.stat().st_size
    if limit_bytes and size_bytes > limit_bytes:
        raise UsageError(
            f"{path}: {size_bytes:,} bytes, and the lab takes at most {limit_bytes:,}",
            "check that it is the right file, or shrink it: quantise the model, take fewer samples",
        )


def _check_file(path: Path, what: str) -> int:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file", f"check the path of the {what}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path}: {reason}", f"check the path of the {what}") from error
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{path}: is a directory", f"name the {what} file inside it")
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{path}: is not a regular file", "copy it to a file first")
    if status.st_size == 0:
        raise UsageError(f"{path}: is empty", "was it copied in full?")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{path}: may not be read", "give yourself the right to read it")
    return status.st_size
