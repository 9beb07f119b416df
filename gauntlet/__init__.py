"""The face: the command line `gauntlet`, the public Python API and the embedded lab.

import gauntlet

with gauntlet.Lab() as lab:
    result = lab.bench("model.tflite", threads=1)
print(result.latency_s, result.to_dict()["latency"]["median_s"]["interval"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gauntlet.api import BenchResult as BenchResult
    from gauntlet.api import Lab as Lab
    from gauntlet.comparing import CompareOptions as CompareOptions
    from gauntlet.comparing import Comparison as Comparison
    from gauntlet.errors import GauntletError as GauntletError
    from gauntlet.errors import MeasurementFailed as MeasurementFailed
    from gauntlet.options import BenchOptions as BenchOptions
    from protos.dataset import DataSet as DataSet
    from protos.dataset import save as save_data_set
    from search.spaces import Choice as Choice
    from search.spaces import space as space

__all__ = [
    "BenchOptions",
    "BenchResult",
    "Choice",
    "CompareOptions",
    "Comparison",
    "DataSet",
    "GauntletError",
    "Lab",
    "MeasurementFailed",
    "save_data_set",
    "space",
]

#: Imported at first use: `import gauntlet` and `gauntlet --help` must not wait for grpc and numpy.
_HOMES = {
    "BenchOptions": ("gauntlet.options", "BenchOptions"),
    "BenchResult": ("gauntlet.api", "BenchResult"),
    "Choice": ("search.spaces", "Choice"),
    "CompareOptions": ("gauntlet.comparing", "CompareOptions"),
    "Comparison": ("gauntlet.comparing", "Comparison"),
    "DataSet": ("protos.dataset", "DataSet"),
    "GauntletError": ("gauntlet.errors", "GauntletError"),
    "Lab": ("gauntlet.api", "Lab"),
    "MeasurementFailed": ("gauntlet.errors", "MeasurementFailed"),
    "save_data_set": ("protos.dataset", "save"),
    "space": ("search.spaces", "space"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gauntlet' has no attribute {name!r}")
    import importlib

    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
