"""A busy neighbour: ``_neighbour.py CORE`` copies memory and multiplies on one core, in bursts, until it is ended."""

from __future__ import annotations

import os
import random
import sys
import time

import numpy as np

_SEED = 3


def main() -> None:
    os.sched_setaffinity(0, [int(sys.argv[1])])
    draw = random.Random(_SEED)
    large, square = np.zeros(4_000_000), np.ones((128, 128))
    while os.getppid() != 1:
        end = time.monotonic() + draw.expovariate(1 / 0.3)
        while time.monotonic() < end:
            large.copy()
            square @ square
        time.sleep(draw.expovariate(1 / 0.1))


if __name__ == "__main__":
    main()
