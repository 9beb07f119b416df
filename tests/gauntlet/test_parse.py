"""What people write in options."""

from __future__ import annotations

import pytest

from gauntlet.cli.parse import size_bytes
from gauntlet.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"), [("2GB", 2 * 10**9), ("512 MB", 512 * 10**6), ("1.5GiB", 3 * 2**29), ("64kb", 64_000)]
)
def test_a_size_is_read(text: str, expected: int) -> None:
    assert size_bytes(text, "--min-memory") == expected


@pytest.mark.parametrize("text", ["2", "GB", "-1GB", "0GB", "nanGB", "infGB", "2TB", "two GB", "1e300GB", "2GGB"])
def test_what_is_no_size_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(UsageError, match=r"--min-memory.*is no size") as refused:
        size_bytes(text, "--min-memory")
    assert "2GB" in str(refused.value.remedy)
