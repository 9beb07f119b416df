"""Supernets: one training for all networks of a space, and how far its ranking can be trusted."""

from search.fault_training import FaultTraining
from search.supernet.accuracy import Accuracy, FaultyAccuracy, evaluate, evaluate_under, wilson
from search.supernet.audit import Audit, audit
from search.supernet.audit_plan import AuditPlan
from search.supernet.base import SharedWeights, has_supernet, make_supernet
from search.supernet.checkpoint import load_weights
from search.supernet.elastic import Supernet
from search.supernet.errors import (
    BatchTooLargeError,
    CheckpointError,
    SupernetError,
    TrainingDivergedError,
    TrainingStopped,
)
from search.supernet.rank_quality import AuditedSubnet, RankQuality, rank_quality
from search.supernet.recalibration import recalibrate
from search.supernet.settings import Progress, TrainSettings
from search.supernet.training import train, train_alone

__all__ = [
    "Accuracy",
    "Audit",
    "AuditPlan",
    "AuditedSubnet",
    "BatchTooLargeError",
    "CheckpointError",
    "FaultTraining",
    "FaultyAccuracy",
    "Progress",
    "RankQuality",
    "SharedWeights",
    "Supernet",
    "SupernetError",
    "TrainSettings",
    "TrainingDivergedError",
    "TrainingStopped",
    "audit",
    "evaluate",
    "evaluate_under",
    "has_supernet",
    "load_weights",
    "make_supernet",
    "rank_quality",
    "recalibrate",
    "train",
    "train_alone",
    "wilson",
]
