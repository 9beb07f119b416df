"""What the orchestrator's tests share."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from orchestrator.store.base import NewJob
from protos.gauntlet.v1 import job_pb2

MODEL = "a" * 64


class Clock:
    """Unix time that stands still until it is told to move."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def new_job() -> Callable[..., NewJob]:
    """Makes jobs to submit; each call gives another one."""
    numbers = itertools.count(1)

    def make(
        *, job_id: str = "", key: str = "", signature: str = "class=pi4", user: str = "local", **spec_fields: object
    ) -> NewJob:
        number = next(numbers)
        spec = job_pb2.JobSpec(idempotency_key=key or f"key-{number}", **spec_fields)  # type: ignore[arg-type]
        spec.measurement.model.digest = MODEL
        spec.measurement.model.name = "net.tflite"
        return NewJob(job_id or f"{number:032x}", spec, signature, (MODEL,), user)

    return make
