"""How long fuzzing takes: seconds, unless GAUNTLET_FUZZ names a number of examples for each test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("GAUNTLET_FUZZ", "0"))


def effort(examples: int) -> settings:
    """Settings of one test: so many examples in a run of all tests."""
    return settings(
        max_examples=EXAMPLES or examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
