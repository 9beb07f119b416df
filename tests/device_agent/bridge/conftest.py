"""Shared by the bridge's tests: made-up phones."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from tests.device_agent.bridge.phones import FakePhones


@pytest.fixture
def phones(tmp_path: Path) -> Iterator[FakePhones]:
    """No phone yet, and an `adb`."""
    made = FakePhones(tmp_path / "phones")
    yield made
    made.close()
