"""How latencies are often taken: load, one call to warm up, the mean of fifty, wherever the system puts the process.

``python _naive_loop.py MODEL`` prints JSON: the mean of a call in seconds. Knows nothing of Gauntlet.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

CALLS = 50


def main() -> None:
    interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], np.ones(details["shape"], details["dtype"]))
    interpreter.invoke()
    begin = time.perf_counter()
    for _ in range(CALLS):
        interpreter.invoke()
    print(json.dumps({"mean_s": (time.perf_counter() - begin) / CALLS}))


if __name__ == "__main__":
    main()
