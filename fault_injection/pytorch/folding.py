"""BatchNorm folded into the convolution before it, as every deployed file has it."""

from __future__ import annotations

import copy
from typing import Dict, List, Tuple

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from fault_injection.errors import UnsupportedModelError

_PAIRS = {nn.Conv2d: nn.BatchNorm2d, nn.Linear: nn.BatchNorm1d}


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode, of the same class and with the same paths, that needs no BatchNorm where it follows.

    A BatchNorm that alone reads a convolution (or dense layer) becomes part of it, and an `nn.Identity` in its place;
    neither may be called twice.

    Args:
        module: left as it is.

    Raises:
        UnsupportedModelError: its code cannot be traced by ``torch.fx``.
    """
    folded = copy.deepcopy(module).eval()
    try:
        graph = fx.Tracer().trace(folded)
    except (fx.proxy.TraceError, TypeError) as error:
        raise UnsupportedModelError(f"{type(module).__name__} cannot be traced: {error}") from error
    modules = dict(folded.named_modules())
    for layer, norm in _pairs(graph, modules):
        fuse = fuse_conv_bn_eval if isinstance(modules[layer], nn.Conv2d) else fuse_linear_bn_eval
        folded.set_submodule(layer, fuse(modules[layer], modules[norm]))
        folded.set_submodule(norm, nn.Identity())
    return folded.eval()


def _pairs(graph: fx.Graph, modules: Dict[str, nn.Module]) -> List[Tuple[str, str]]:
    calls = [node for node in graph.nodes if node.op == "call_module"]
    runs: Dict[nn.Module, int] = {}
    for node in calls:
        runs[modules[str(node.target)]] = runs.get(modules[str(node.target)], 0) + 1
    pairs = []
    for node in calls:
        before = node.args[0] if node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        layer, norm = modules[str(before.target)], modules[str(node.target)]
        wanted = _PAIRS.get(type(layer))
        if wanted is None or type(norm) is not wanted or runs[layer] > 1 or runs[norm] > 1:
            continue
        if norm.track_running_stats and norm.running_mean is not None:
            pairs.append((str(before.target), str(node.target)))
    return pairs
