"""Find what can be hit, by running a network once.

>>> sites = find_sites(network, images[:64])
>>> [site.name for site in sites.select(FaultPlan(parse("iBF(p=1e-4)")))]

A layer is a call of ``conv2d`` or ``linear`` with a parameter as its weights, whatever module makes it. Weights that
are computed, by a parametrization for example, are none, nor is what runs inside a single torch function
(``multi_head_attention_forward``) or in compiled code.
"""

from __future__ import annotations

from collections import Counter
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from fault_injection.errors import FaultError, UnsupportedModelError
from fault_injection.pytorch.calls import Call, Recorder
from fault_injection.pytorch.deployed import DeployedFile
from fault_injection.pytorch.layout import weight_places
from fault_injection.pytorch.sites import Layer, TorchSites, WeightPlace
from fault_injection.pytorch.statistics import kept_statistics
from fault_injection.sites import CONV, DENSE, DEPTHWISE, SiteLink

Forward = Callable[[Tensor], object]


def find_sites(
    module: nn.Module,
    calibration: Tensor,
    *,
    forward: Optional[Forward] = None,
    links: Optional[Sequence[SiteLink]] = None,
    deployed: Optional[bytes] = None,
) -> TorchSites:
    """Run a network once and note what can be hit.

    Without a file, names are torch's paths (``layer1.0.conv1`` for the feature map and ``layer1.0.conv1.weight``; a
    further call of the same layer has ``:2`` behind its path), and scales come from the weights and from the ranges
    seen here: of 8-bit integers as deployed, or FTT-NAS' powers of two, whichever a plan asks for. With a file, names
    and scales are the file's, and equal plans and patterns flip equal bits here and there.

    Args:
        module: the network, in whatever mode; parameters, statistics and torch's random numbers are left as they are.
        calibration: typical inputs, (N, C, H, W) or what the network takes; a hundred or so.
        forward: how to run it, if not ``module(images)``: an elastic network with its architecture, say.
        links: what the exporter says of the layers; needs `deployed`.
        deployed: the ``.tflite`` file that was made of this network.

    Raises:
        FaultError: links without a file, or the reverse.
        UnsupportedModelError: no layers that can be hit, or a file that is not of this network.
        MalformedModelError: the file cannot be read.
    """
    if (links is None) != (deployed is None):
        raise FaultError("links and the deployed file go together: pass both or neither")
    owners = {parameter.untyped_storage().data_ptr(): name for name, parameter in module.named_parameters()}
    found: List[Tuple[str, Call]] = []
    for call in _record(module, calibration, forward or module):
        owner = owners.get(call.weight.untyped_storage().data_ptr())
        if owner is not None:
            found.append((owner, call))
    if not found:
        raise UnsupportedModelError(
            "the network has nothing to break: no call of conv2d or linear with a parameter as its weights"
        )
    file = None if deployed is None else DeployedFile(deployed)
    layers = _layers(found, links, file)
    weights: Dict[str, WeightPlace] = {}
    for layer, (_, call) in zip(layers, found):
        known = weights.get(layer.parameter)
        if known is None:
            places = weight_places(call.weight, module.get_parameter(layer.parameter), layer.link)
            weights[layer.parameter] = WeightPlace(layer, places.shape, places.reshape(-1))
        elif file is not None and known.name != layer.link.weight:
            raise UnsupportedModelError(
                f"layer {layer.link.path!r} runs twice and has two weight tensors in the file, {known.name!r} and "
                f"{layer.link.weight!r}, of which torch has one"
            )
    if file is not None:
        _check_file(layers, list(weights.values()), file)
    return TorchSites(module, layers, list(weights.values()))


def _record(module: nn.Module, calibration: Tensor, forward: Forward) -> List[Call]:
    recorder = Recorder()
    with torch.no_grad(), torch.random.fork_rng(devices=[]), kept_statistics(module), recorder:
        forward(calibration)
    return recorder.finish()


def _layers(
    found: Sequence[Tuple[str, Call]], links: Optional[Sequence[SiteLink]], file: Optional[DeployedFile]
) -> List[Layer]:
    given: Dict[str, List[SiteLink]] = {}
    for link in links or ():
        given.setdefault(link.path, []).append(link)
    runs: Counter[str] = Counter()
    layers = []
    for parameter, call in found:
        path = parameter.rpartition(".")[0]
        run = runs[path]
        runs[path] += 1
        link = _default_link(path, run, call)
        if file is not None:
            if run >= len(given.get(path, ())):
                raise UnsupportedModelError(
                    f"layer {path!r} runs {run + 1} times, in the file less often or not at all"
                )
            link = given[path][run]
        shape = call.output
        feature_shape = (*shape[2:], shape[1]) if link.kind != DENSE else shape[1:]
        stages = tuple(call.stages)
        layer = Layer(parameter, link, feature_shape, call.macs, stages, file.of(link) if file is not None else None)
        layers.append(layer)
    return layers


def _default_link(path: str, run: int, call: Call) -> SiteLink:
    name = path if run == 0 else f"{path}:{run + 1}"
    kind = CONV if call.weight.dim() == 4 else DENSE
    if call.groups > 1 and call.weight.shape[1] == 1:
        kind = DEPTHWISE
    fused = next((stage.made_by for stage in call.stages if stage.made_by not in ("layer", "norm")), "none")
    return SiteLink(path, kind, f"{name}.weight".lstrip("."), name, fused, call.flattened)


def _check_file(layers: Sequence[Layer], weights: Sequence[WeightPlace], file: DeployedFile) -> None:
    """A plan must find the same tensors here as in the file, or other faults would be drawn."""
    weight_shapes = {weight.name: weight.shape for weight in weights}
    feature_shapes = {layer.link.feature: layer.feature_shape for layer in layers}
    for tensors, shapes in ((file.weights, weight_shapes), (file.features, feature_shapes)):
        for name, tensor in tensors.items():
            if name not in shapes:
                raise UnsupportedModelError(
                    f"the file has {name!r}, which no convolution or dense layer of torch makes: another network, or "
                    "BatchNorm that is a layer of its own in the file?"
                )
            if shapes[name] != tensor.site.shape:
                raise UnsupportedModelError(
                    f"{name!r} is {tensor.site.shape} in the file and {shapes[name]} in torch: another network?"
                )
