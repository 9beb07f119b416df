"""Faults in torch networks: the same that the deployed half draws, in weights and feature maps.

The only part of `fault_injection` that needs torch.
"""

from fault_injection.pytorch.accuracy import Evaluation, PatternOutcome, evaluate
from fault_injection.pytorch.finding import find_sites
from fault_injection.pytorch.folding import fold_batch_norm
from fault_injection.pytorch.injection import Injector, inject, replay
from fault_injection.pytorch.sites import TorchSites
from fault_injection.pytorch.statistics import kept_statistics
from fault_injection.pytorch.training import FaultTolerantLoss, Losses

__all__ = [
    "Evaluation",
    "FaultTolerantLoss",
    "Injector",
    "Losses",
    "PatternOutcome",
    "TorchSites",
    "evaluate",
    "find_sites",
    "fold_batch_norm",
    "inject",
    "kept_statistics",
    "replay",
]
