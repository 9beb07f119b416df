"""An independent measurement, as anybody would write it: ai_edge_litert, a loop, a clock. Knows nothing of Gauntlet.

``python _bare_loop.py MODEL --seconds S [--core N …] [--batch N]`` prints JSON: the median of a call in seconds.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

WARM_UP_S = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--core", type=int, nargs="*", help="hold the process to these cores")
    parser.add_argument("--batch", type=int, default=1, help="calls between two readings of the clock")
    options = parser.parse_args()
    if options.core:
        os.sched_setaffinity(0, options.core)
    interpreter = Interpreter(model_path=options.model, num_threads=1)
    interpreter.allocate_tensors()
    random = np.random.default_rng()
    for details in interpreter.get_input_details():
        kind = np.dtype(details["dtype"])
        shape = details["shape"]
        if kind.kind == "f":
            value = random.random(shape).astype(kind)
        else:
            value = random.integers(np.iinfo(kind).min, np.iinfo(kind).max, shape, dtype=kind)
        interpreter.set_tensor(details["index"], value)
    gc.disable()
    timed(interpreter, WARM_UP_S, options.batch)
    samples = timed(interpreter, options.seconds, options.batch)
    print(json.dumps({"median_s": statistics.median(samples), "samples": len(samples)}))


def timed(interpreter: Interpreter, seconds: float, batch: int) -> list[float]:
    samples = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if batch == 1:
            begin = time.perf_counter()
            interpreter.invoke()
            samples.append(time.perf_counter() - begin)
        else:
            begin = time.perf_counter()
            for _ in range(batch):
                interpreter.invoke()
            samples.append((time.perf_counter() - begin) / batch)
    return samples


if __name__ == "__main__":
    main()
