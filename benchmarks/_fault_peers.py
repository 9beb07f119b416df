"""Other ways to break a torch network: PyTorchFI, MRFI, and masks over everything, for comparison with ours.

Each makes a function that breaks the network anew, runs a batch and says how many bits or values it meant to hit. All
are given positions or rates for equal expected numbers of faults, and what they can do once beforehand is done once.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fault_injection.plan import FaultPlan
from fault_injection.pytorch import TorchSites

Contender = Callable[[int], int]
#: Where peers may be: ``pip install --no-deps --target FOLDER pytorchfi==0.6.0 MRFI==2.1.0``. With their dependencies
#: they would bring another torch.
FOLDER = "GAUNTLET_PEERS"
_BITS = 8
_LARGEST = 127


def peer(name: str) -> ModuleType | None:
    """A peer's module, or None if it is not installed."""
    folder = os.environ.get(FOLDER)
    if folder and folder not in sys.path:
        sys.path.append(folder)  # last: they install a package called "test" beside themselves
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


# ------------------------------------------------------------------------------------------------------------ PyTorchFI


def pytorchfi_weights(network: nn.Module, batch: Tensor, p: float) -> Contender | None:
    """Flips by its `declare_weight_fi`, one function call for each; it copies the network for every pattern."""
    if peer("pytorchfi") is None:
        return None
    core = importlib.import_module("pytorchfi.core")
    logging.disable(logging.INFO)
    with torch.no_grad():
        injector = core.fault_injection(network, len(batch), list(batch.shape[1:]), [nn.Conv2d])
    shapes = [tuple(layer.weight.shape) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    peaks = [float(layer.weight.abs().max()) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    steps = {shape: peak / _LARGEST for shape, peak in zip(shapes, peaks, strict=True)}

    def run(number: int) -> int:
        random = np.random.default_rng(number)
        layers, places = _random_places(random, shapes, p * _BITS)

        def flip(data: Tensor, location: tuple[int, ...]) -> Tensor:
            step = steps[tuple(data.shape)]
            byte = round(float(data[location]) / step) & 255 ^ 1 << int(random.integers(_BITS))
            return torch.tensor((byte - 256 if byte > _LARGEST else byte) * step)

        k, c, h, w = (column.tolist() for column in places.T)
        broken = injector.declare_weight_fi(layer_num=layers.tolist(), k=k, dim1=c, dim2=h, dim3=w, function=flip)
        broken(batch)
        return len(layers)

    return run


def pytorchfi_features(network: nn.Module, batch: Tensor, p: float, peaks: list[float]) -> Contender | None:
    """Flips by its own `single_bit_flip_func`."""
    if peer("pytorchfi") is None:
        return None
    models = importlib.import_module("pytorchfi.neuron_error_models")
    logging.disable(logging.INFO)
    with torch.no_grad():
        injector = models.single_bit_flip_func(network, len(batch), list(batch.shape[1:]), layer_types=[nn.Conv2d])
    # A margin, since it asserts where a value lies beyond the range.
    injector.set_conv_max([2.0 * peak for peak in peaks])
    shapes = [(len(batch), *size[1:]) for size in injector.output_size]

    def run(number: int) -> int:
        random = np.random.default_rng(number)
        layers, places = _random_places(random, shapes, p * _BITS)
        n, c, h, w = (column.tolist() for column in places.T)
        hook = injector.single_bit_flip_signed_across_batch
        broken = injector.declare_neuron_fi(batch=n, layer_num=layers.tolist(), dim1=c, dim2=h, dim3=w, function=hook)
        broken(batch)
        return len(layers)

    return run


def _random_places(
    random: np.random.Generator, shapes: list[tuple[int, ...]], p: float
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Layers (n,) and indices (n, 4) of values that are hit."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    counts = [int(random.binomial(size, p)) for size in sizes]
    places = [
        np.stack(np.unravel_index(random.integers(size, size=count), shape), axis=1)
        for shape, size, count in zip(shapes, sizes, counts, strict=True)
    ]
    return np.repeat(np.arange(len(shapes)), counts), np.concatenate(places)


# ----------------------------------------------------------------------------------------------------------------- MRFI


def mrfi(
    network: nn.Module, batch: Tensor, p: float, *, weights: bool, peaks: list[float], values: int
) -> Contender | None:
    """Flips by its hooks with fixed ranges, quantising only what is hit: its fastest way.

    It overwrites weights and puts them back at the next run. How many faults there were it does not say: given is what
    is expected of so many `values`.
    """
    module = peer("mrfi")
    if module is None:
        return None
    kind: dict[str, Any] = {"type": "weight", "name": ["weight"]} if weights else {"type": "activation_out"}
    config = module.EasyConfig(
        {
            "faultinject": [
                {
                    **kind,
                    "quantization": {
                        "method": "SymmericQuantization",
                        "dynamic_range": 1.0,
                        "bit_width": _BITS,
                        "layerwise": False,
                    },
                    "enabled": True,
                    "selector": {"method": "RandomPositionByRate", "poisson": True, "rate": p * _BITS},
                    "error_mode": {"method": "IntRandomBitFlip", "bit_width": _BITS},
                    "module_type": ["Conv2d", "Linear"],
                }
            ]
        }
    )
    broken = module.MRFI(network, config)
    place = "weights.0" if weights else "activation_out.0"
    for item, peak in zip(broken.get_configs(f"{place}.quantization"), peaks, strict=False):
        item.args.dynamic_range = peak

    def run(number: int) -> int:
        torch.manual_seed(number)
        broken(batch)
        return round(values * p * _BITS)

    return run


# ------------------------------------------------------------------------------------------------ masks over everything


def dense_features(network: nn.Module, batch: Tensor, plan: FaultPlan, sites: TorchSites) -> Contender:
    """Hooks that draw a mask over each whole feature map: flips of one bit per hit value, or MiBB."""
    steps = {layer.link.path: float(sites.feature_coding(layer, plan).scale) for layer in sites.layers}
    macs = {layer.link.path: layer.macs for layer in sites.layers}
    rate = vars(plan.model)
    count = 0

    def hook(path: str) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        step = steps[path]

        def flip(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            nonlocal count
            hit = torch.rand_like(output) < rate["p"] * _BITS
            stored = (output / step).round_().clamp_(-128, 127).to(torch.int8)
            masks = torch.ones_like(stored) << torch.randint_like(stored, _BITS)
            count += int(hit.sum())
            return torch.where(hit, (stored ^ masks) * step, output)

        def bias(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            nonlocal count
            hit = torch.rand_like(output) < 1 - (1 - rate["p_m"]) ** macs[path]
            sign = torch.randint_like(output, 2).mul_(2).sub_(1)
            change = torch.exp2(torch.randint_like(output, _BITS)).mul_(sign)
            stored = (output / step).round_().clamp_(-128, 127)
            count += int(hit.sum())
            return torch.where(hit, (stored + change).clamp_(-128, 128) * step, output)

        return bias if "p_m" in rate else flip

    def run(number: int) -> int:
        nonlocal count
        torch.manual_seed(number)
        count = 0
        with _hooked(network, steps, hook):
            network(batch)
        return count

    return run


def dense_weights(network: nn.Module, batch: Tensor, plan: FaultPlan, sites: TorchSites) -> Contender:
    """Masks over all weights, flips or adSAF (variant all); copies put back afterwards."""
    parameters = [parameter.detach() for parameter in sites.parameters().values()]
    rate = vars(plan.model)
    adsaf = "sa1" in rate

    def faulty(weight: Tensor) -> tuple[Tensor, Tensor]:
        peak = weight.abs().max()
        if adsaf:
            stuck, ones = (torch.rand((2, *weight.shape)) < rate[key] for key in ("p", "sa1"))
            arrays = torch.stack([weight.clamp(min=0), (-weight).clamp(min=0)])
            arrays = torch.where(stuck, ones * peak, arrays)
            broken = (arrays[0] - arrays[1]).clamp(-peak, peak)
            return broken, broken != weight
        step = peak / _LARGEST
        hit = torch.rand_like(weight) < rate["p"] * _BITS
        stored = (weight / step).round().to(torch.int8)
        masks = torch.ones_like(stored) << torch.randint_like(stored, _BITS)
        return torch.where(hit, (stored ^ masks) * step, weight), hit

    def run(number: int) -> int:
        torch.manual_seed(number)
        kept, count = [weight.clone() for weight in parameters], 0
        for weight in parameters:
            broken, hit = faulty(weight)
            count += int(hit.sum())
            weight.copy_(broken)
        network(batch)
        for weight, before in zip(parameters, kept, strict=True):
            weight.copy_(before)
        return count

    return run


@contextmanager
def _hooked(network: nn.Module, paths: dict[str, float], make: Callable[[str], Any]) -> Iterator[None]:
    handles = [network.get_submodule(path).register_forward_hook(make(path)) for path in paths]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
