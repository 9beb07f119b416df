"""The problems of the yardstick that are not reported, for tests on recorded hardware."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks._yardstick import TUNING, Problem


@pytest.fixture(scope="session")
def pixel_and_fpga(data: Path) -> Problem:
    """(error, Pixel 3, FPGA)."""
    pytest.importorskip("pyarrow", reason="the recorded tables are Parquet: install pyarrow")
    return Problem(TUNING[0], data)
