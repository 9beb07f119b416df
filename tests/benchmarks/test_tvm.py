"""The comparison with TVM is left out with a reason where there is no TVM."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import _tvm


def test_without_a_python_it_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(_tvm.PYTHON, raising=False)
    with pytest.raises(_tvm.MissingError, match=r"name a Python with apache-tvm .* by GAUNTLET_TVM_PYTHON"):
        _tvm.python()


def test_a_python_that_is_none_or_lacks_tvm_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(_tvm.PYTHON, str(tmp_path / "python"))
    with pytest.raises(_tvm.MissingError, match="python cannot be run: No such file"):
        _tvm.python()
    monkeypatch.setenv(_tvm.PYTHON, sys.executable)
    with pytest.raises(_tvm.MissingError, match=r"lacks what the comparison needs: .*No module named 'tvm'"):
        _tvm.python()
