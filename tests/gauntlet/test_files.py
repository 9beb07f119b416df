"""What is plainly wrong with a file is refused before anything starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gauntlet import files
from gauntlet.errors import UsageError


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        files.check_model(path)
    assert caught.value.remedy
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_model_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "Model.TFLITE"
    path.write_bytes(b"x")
    assert files.check_model(path) == "model/tflite"


def test_a_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "m.tflite").endswith("m.tflite: no such file")


def test_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.mkdir()
    assert refusal(path).endswith("is a directory")


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.touch()
    assert refusal(path).endswith("is empty")


def test_something_that_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    os.mkfifo(path)
    assert refusal(path).endswith("is not a regular file")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"x")
    path.chmod(0)
    assert refusal(path).endswith("may not be read")


def test_a_folder_that_is_a_file_and_a_name_that_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    assert "Not a directory" in refusal(tmp_path / "file" / "m.tflite")
    assert "File name too long" in refusal(tmp_path / ("x" * 300 + ".tflite"))


@pytest.mark.parametrize("name", ["m.pb", "m.pth", "m"])
def test_an_unknown_suffix(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"x")
    assert "no models that gauntlet measures" in refusal(path)


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_a_file_larger_than_its_format_allows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    with path.open("wb") as file:
        file.truncate(2**31)
    assert f"a {suffix} file ends at 2,147,483,647" in refusal(path)


def test_a_file_larger_than_the_lab_takes(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"12345")
    files.check_size(path, 5)
    files.check_size(path, 0)
    with pytest.raises(UsageError, match="5 bytes, and the lab takes at most 4"):
        files.check_size(path, 4)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_data_set(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        files.check_data(path, "labels")
    assert "\n" not in caught.value.message
