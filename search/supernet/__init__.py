"""Supernets: one training for all networks of a space, and how far its ranking can be trusted."""

from search.fault_training import FaultTraining
from search.supernet.accuracy import Accuracy, FaultyAccuracy, evaluate, evaluate_under, wilson
from search.supernet.audit import Audit, AuditedSubnet, audit, rank_quality
from search.supernet.checkpoint import load_weights
from search.supernet.elastic import Supernet
from search.supernet.errors import (
    BatchTooLargeError,
    CheckpointError,
    SupernetError,
    TrainingDivergedError,
    TrainingStopped,
)
from search.supernet.recalibration import recalibrate
from search.supernet.settings import Progress, TrainSettings
from search.supernet.training import train, train_alone

__all__ = [
    "Accuracy",
    "Audit",
    "AuditedSubnet",
    "BatchTooLargeError",
    "CheckpointError",
    "FaultTraining",
    "FaultyAccuracy",
    "Progress",
    "Supernet",
    "SupernetError",
    "TrainSettings",
    "TrainingDivergedError",
    "TrainingStopped",
    "audit",
    "evaluate",
    "evaluate_under",
    "load_weights",
    "rank_quality",
    "recalibrate",
    "train",
    "train_alone",
    "wilson",
]
