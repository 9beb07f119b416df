"""The recorded cells of NAS-Bench-201 as a table: one row for each isomorphism class, on six devices.

Accuracies are those of NAS-Bench-201 (Dong & Yang 2020), latencies and energies those of HW-NAS-Bench (Li et al. 2021)
and HELP (Lee et al. 2021), accuracies after a day of drift those of an analog-hardware benchmark. A class has the mean
accuracy and the median cost of its members.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from search.replay.schema import About, FigureFacts, TableError
from search.replay.table import Column, Table
from search.spaces.nb201 import Nb201Space

FILE_NAME = "nb201_classes.parquet"
_MILLI, _PERCENT = 1e-3, 1e-2
_COLUMNS = {
    "latency_s@raspi4": ("raspi4_latency_ms", _MILLI),
    "latency_s@pixel3": ("pixel3_latency_ms", _MILLI),
    "latency_s@edgegpu": ("edgegpu_latency_ms", _MILLI),
    "latency_s@eyeriss": ("eyeriss_latency_ms", _MILLI),
    "latency_s@fpga": ("fpga_latency_ms", _MILLI),
    "latency_s@edgetpu": ("edgetpu_latency_ms", _MILLI),
    "energy_j@edgegpu": ("edgegpu_energy_mj", _MILLI),
    "energy_j@eyeriss": ("eyeriss_energy_mj", _MILLI),
    "accuracy@drift(days=1)": ("analog_drift_1day_acc_pct", _PERCENT),
}
_ACCURACIES = {"validation": "cifar10_valid_acc_epoch12_pct", "test": "cifar10_test_acc_pct"}
#: Costs that a simulator or an analytical model gave, not a device.
_ESTIMATED = ("eyeriss", "fpga")
_DEVICES = {
    "raspi4": "Raspberry Pi 4",
    "pixel3": "Pixel 3",
    "edgegpu": "Jetson TX2, its GPU",
    "edgetpu": "Edge TPU",
    "eyeriss": "Eyeriss, by an analytical model",
    "fpga": "FPGA, by an analytical model",
}


def read_nb201(folder: Path, accuracy: str = "validation") -> Table:
    """The table.

    Args:
        folder: that holds `nb201_classes.parquet`.
        accuracy: what `accuracy` is: "validation", after 12 epochs, or "test", after 200.

    Raises:
        TableError: the file is not there or another one, or no such accuracy.
    """
    import pyarrow as pa  # type: ignore[import-untyped]  # takes a third of a second to load
    import pyarrow.parquet as parquet  # type: ignore[import-untyped]

    if accuracy not in _ACCURACIES:
        raise TableError(f"NAS-Bench-201 has no accuracy {accuracy!r}", f"there are {' and '.join(_ACCURACIES)}")
    wanted = {"accuracy": (_ACCURACIES[accuracy], _PERCENT), **_COLUMNS}
    path = folder / FILE_NAME
    try:
        content = parquet.read_table(path)
        found = {
            name: content.column(column).to_numpy().astype(np.float64) * unit for name, (column, unit) in wanted.items()
        }
    except (OSError, KeyError, pa.ArrowException) as error:
        raise TableError(
            f"{path} is not the table of NAS-Bench-201's classes", "name the folder that holds it"
        ) from error
    status = content.column("edgetpu_status").to_pylist()
    failed = [row for row, text in enumerate(status) if text == "failed"]
    found["latency_s@edgetpu"][failed] = np.nan
    return Table(
        About(
            "NAS-Bench-201 on recorded hardware",
            {name: {"description": text} for name, text in _DEVICES.items()},
            (
                "accuracies: NAS-Bench-201 on CIFAR-10, by way of RoBoT",
                "latencies and energies: HW-NAS-Bench, by way of HELP",
                "accuracy after a day of drift: an analog NAS benchmark",
            ),
            "RoBoT: Apache-2.0; HELP, the values of HW-NAS-Bench and the analog benchmark: MIT",
        ),
        Nb201Space(),
        content.column("arch_str").to_pylist(),
        {name: Column(values, facts=_facts(name)) for name, values in found.items()},
        {"edgetpu": dict.fromkeys(failed, "unsupported operation: it does not compile for the Edge TPU")},
    )


def _facts(name: str) -> FigureFacts:
    return FigureFacts("estimated" if name.endswith(_ESTIMATED) else "measured")
