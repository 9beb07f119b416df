"""NVIDIA graphics processors, by NVML (the `nvidia-ml-py` package, optional).

Volta and later count millijoules since the driver was loaded, updated about every 100 ms; older ones tell watts only.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Mapping, Optional

from device_agent.measure.meters.base import ACCELERATOR, Facts, Meter, NoMeter
from device_agent.measure.meters.counters import Counter, CounterMeter
from device_agent.measure.meters.power import MakeTicker, PowerMeter
from device_agent.measure.ticker import Ticker

_STEP_J = 1e-3
_STEP_W = 1e-3
_UPDATE_S = 0.1
_PERIOD_S = 0.05
_REMARK = "the graphics board alone, without the processor that feeds it"


def find_nvml(library: Optional[Any] = None, make_ticker: MakeTicker = Ticker) -> Meter:
    """The first graphics processor that CUDA would use.

    Args:
        library: the `pynvml` module, or what stands in for it; None imports it.
        make_ticker: see `PowerMeter`.
    """
    if library is None:
        try:
            library = importlib.import_module("pynvml")
        except ImportError:
            return NoMeter("NVML is not installed; with an NVIDIA driver: pip install nvidia-ml-py")
    try:
        library.nvmlInit()
        handle = _device(library)
        name = str(library.nvmlDeviceGetName(handle))
    except library.NVMLError as error:
        return NoMeter(f"NVML: {error}")

    def watch(get: Any) -> Mapping[str, float]:
        try:
            return {name: int(get(handle)) / 1e3}
        except library.NVMLError as error:
            # What the meters take for a sensor that is gone.
            raise OSError(str(error)) from error

    facts = Facts(f"NVML {name}", ACCELERATOR, (name,), step_j=_STEP_J, update_s=_UPDATE_S, remark=_REMARK)
    try:
        watch(library.nvmlDeviceGetTotalEnergyConsumption)
    except OSError:
        facts = Facts(f"NVML {name} (power)", ACCELERATOR, (name,), step_w=_STEP_W, update_s=_UPDATE_S, remark=_REMARK)
    else:
        return CounterMeter(facts, [Counter(name)], lambda: watch(library.nvmlDeviceGetTotalEnergyConsumption))
    try:
        watch(library.nvmlDeviceGetPowerUsage)
    except OSError as error:
        return NoMeter(f"NVML {name} tells neither energy nor power: {error}")
    return PowerMeter(facts, lambda: watch(library.nvmlDeviceGetPowerUsage), _PERIOD_S, make_ticker=make_ticker)


def _device(library: Any) -> Any:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    if visible.startswith(("GPU-", "MIG-")):
        return library.nvmlDeviceGetHandleByUUID(visible)
    return library.nvmlDeviceGetHandleByIndex(int(visible) if visible.isdigit() else 0)
