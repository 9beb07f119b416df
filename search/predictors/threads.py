"""One thread for the algebra of small matrices: several only wait for each other, and disturb what is being timed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import scipy.linalg  # noqa: F401  # brings a library of its own along, which has to be there to be told
from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """As long as it is entered, matrices are multiplied and solved on the caller's core alone."""
    limits: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limits


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
