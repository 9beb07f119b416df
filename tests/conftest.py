"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _no_lab_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests never meet the lab, the state or the temporary sockets of whoever runs them."""
    monkeypatch.delenv("GAUNTLET_LAB", raising=False)
    monkeypatch.delenv("GAUNTLET_LAB_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # Output that does not depend on the terminal.
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
