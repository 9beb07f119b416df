"""A campaign as the digits example would leave it, made up: for tests of the report and for looking at it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from search.evaluations import Evaluation, Failure, FaultAccuracy
from search.objectives import Constraint, Objective
from search.report import ReportInput, audit_document
from search.spaces import Architecture
from search.supernet.audit import Audit, Effort
from search.supernet.rank_quality import AuditedSubnet, rank_quality
from search.values import Value

OBJECTIVES = tuple(map(Objective.parse, ("accuracy", "accuracy@iBF(p=0.001)", "latency_s@local")))
CONDITION = "iBF(p=0.001)"
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


def architecture(rng: np.random.Generator) -> str:
    """A text of the mobile space."""
    stages = []
    for _ in range(3):
        blocks = [
            f"m{rng.choice([3, 5, 7])}e{rng.choice([2, 4, 6])}" if rng.random() < 0.8 else f"c{rng.choice([3, 5])}"
            for _ in range(rng.integers(1, 4))
        ]
        stages.append("-".join([str(rng.choice([16, 24, 32])), *blocks]))
    return "_".join(stages)


def evaluation(number: int, rng: np.random.Generator, progress: float) -> Evaluation:
    """A candidate; later ones are better, as in a search."""
    size = float(rng.beta(2, 2))
    macs = int(2.0e5 * math.exp(2.6 * size))
    text = architecture(rng)
    skill = 0.6 * progress + 0.4 * float(rng.random())
    accuracy = 0.80 + 0.06 * size + 0.05 * skill + float(rng.normal(0, 0.006))
    fragility = 1.35 - 0.6 * size - 0.35 * skill + float(rng.normal(0, 0.08))
    latency = 2.4e-5 * (macs / 2e5) ** 0.8 * (1.25 - 0.35 * skill) * math.exp(float(rng.normal(0, 0.06)))
    if rng.random() < 0.06:
        failure = Failure(
            "unsupported operation",
            "Node number 7 (CONV_2D) failed to prepare: input->type == kTfLiteInt8 was not true.",
            step="latency_s@local",
            remedy="leave this operation out of the space",
        )
        return Evaluation(number, text, macs, macs // 9, failure=failure)
    faults = []
    for rate in RATES:
        drop = 0.5 * (1 - math.exp(-fragility * (rate / 2e-3) ** 0.75 * 0.5))
        mean = max(accuracy - drop, 0.12)
        half = 0.004 + 0.03 * drop
        value = Value(mean, mean - half, min(mean + half, 1.0), 0.95, "bootstrap over patterns", 30)
        faults.append(FaultAccuracy(f"iBF(p={rate:g})", "iBF", rate, value, 30))
    figures = {
        "accuracy": Value(accuracy, accuracy - 0.009, accuracy + 0.009, 0.95, "Wilson", 4000),
        "accuracy@iBF(p=0.001)": faults[2].accuracy,
        "latency_s@local": Value(latency, latency * 0.985, latency * 1.02, 0.95, "order statistics", 400),
        "energy_j@local": Value.missing("no RAPL in this container"),
    }
    digests = {"int8": f"{number:064x}"}
    provenance = {"Device runtime": "litert 1.4.0, xnnpack, 1 thread", "Fault seeds": "0 to 29, shared by all"}
    return Evaluation(number, text, macs, macs // 9, figures, tuple(faults), digests, provenance=provenance)


def audit(rng: np.random.Generator) -> dict[str, Any]:
    """An audit of thirty networks, without faults and under them."""
    subnets = []
    for _ in range(30):
        size, quality = float(rng.beta(2, 2)), float(rng.random())
        inherited = 0.79 + 0.05 * size + 0.06 * quality + float(rng.normal(0, 0.012))
        alone = [0.935 + 0.02 * size + 0.02 * quality + float(rng.normal(0, 0.004)) for _ in range(2)]
        faulty, lost = f"accuracy@{CONDITION}", 0.3 - 0.15 * size
        subnets.append(
            AuditedSubnet(
                Architecture(architecture(rng)),
                int(2.0e5 * math.exp(2.6 * size)),
                {"accuracy": inherited, faulty: inherited - lost + float(rng.normal(0, 0.02))},
                {
                    "accuracy": tuple(alone),
                    faulty: tuple(value - lost + float(rng.normal(0, 0.01)) for value in alone),
                },
            )
        )
    found = Audit(
        subnets=tuple(subnets),
        rankings=tuple(
            rank_quality(subnets, name, noise) for name, noise in (("accuracy", 0.006), (f"accuracy@{CONDITION}", 0.02))
        ),
        effort=Effort(60, 6, 1234.5, 3500, 700, 500, 30),
        asked=32,
        missing={"upsets(n=1)": "nothing to break"},
        failed={"16-m3e2": "training stopped in step 3: the loss of 16-m3e2 is nan"},
    )
    return audit_document(found, {"epochs": 20, "seconds": 36.4})


def first_audit(rng: np.random.Generator) -> dict[str, Any]:
    """An audit of twelve networks, as runs of the first releases have it."""
    subnets = []
    for _ in range(12):
        quality = float(rng.random())
        inherited = 0.79 + 0.11 * quality + float(rng.normal(0, 0.012))
        alone = [0.935 + 0.04 * quality + float(rng.normal(0, 0.005)) for _ in range(2)]
        subnets.append({"architecture": architecture(rng), "inherited": inherited, "standalone": alone})
    return {
        "subnets": subnets,
        "tau": 0.68,
        "tau_interval": [0.41, 0.88],
        "ceiling": 0.81,
        "inherited_range": [0.788, 0.902],
        "standalone_range": [0.935, 0.976],
        "noise": 0.006,
        "verdict": "ranks",
        "reason": "τ = 0.68 (0.41 to 0.88): inherited accuracy ranks networks",
    }


def report(candidates: int = 56, seed: int = 4) -> ReportInput:
    """The whole campaign."""
    rng = np.random.default_rng(seed)
    evaluations = tuple(evaluation(number, rng, number / candidates) for number in range(candidates))
    made = ReportInput(
        title="Handwritten digits, fast and fault-tolerant",
        created="2026-11-20T19:02:11+00:00",
        software_version="0.1.0",
        objectives=OBJECTIVES,
        constraints=(Constraint.parse("latency_s@local <= 0.00025"),),
        evaluations=evaluations,
        settings={
            "Strategy": "NSGA-II, population 20",
            "Space": "mobile, 16×16 grey images, 3 stages, 1.2e9 architectures",
            "Data": "scikit-learn digits at 16×16, distorted; 3,500 training, 700 validation, 4,000 test images",
            "Seed": "0",
        },
        budget={"candidates": f"{candidates} of {candidates}"},
        devices=(
            {
                "device_id": "local",
                "device_class": "x86_64-avx512",
                "hardware": {
                    "cpu_model": "AMD EPYC 9B14",
                    "architecture": "x86_64",
                    "physical_cores": 1,
                    "logical_cores": 2,
                    "memory_bytes": "8321499136",
                    "operating_system": "Debian GNU/Linux 12 (bookworm)",
                    "kernel": "6.6.72",
                    "virtualization": "virtual machine",
                },
                "runtimes": [{"name": "litert", "version": "1.4.0"}],
                "sensors": [
                    {"quantity": "energy_j", "unavailable": "no RAPL in this container"},
                    {"quantity": "temperature_c", "unavailable": "no thermal zone"},
                ],
            },
        ),
        audit=audit(rng),
        stage_s={
            "supernet training": 36.4,
            "recalibration": 8.1,
            "export": 1.2,
            "dispatch": 0.9,
            "timing": 28.7,
            "faults": 61.3,
            "audit": 44.0,
        },
        wall_s=187.0,
        unavailable=(("Frequency and governor", "not exposed in this virtual machine"),),
        provenance={
            "Python": "3.11.2",
            "Timing": "10 runs to warm up, then up to 2,000 until within 2 %",
        },
        notes=("The run was broken off after candidate 31 and resumed; nothing was measured twice.",),
    )
    files = {e.number: {"tflite": f"winners/{e.number}.tflite", "card": f"winners/{e.number}.json"} for e in made.front}
    return replace(made, files=files)
