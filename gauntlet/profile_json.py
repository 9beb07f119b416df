"""The times of operators as JSON."""

from __future__ import annotations

from typing import Any

from gauntlet.results_json import figure_document, why_missing
from protos.gauntlet.v1 import job_pb2


def profile_document(job: job_pb2.Job) -> dict[str, Any]:
    """Operators in the order in which they ran, or the reason why there are none."""
    profile = job.result.profile
    if not job.result.HasField("profile") or profile.unavailable:
        return {"unavailable": profile.unavailable or why_missing(job, "profile"), "operators": []}
    return {
        "whole_s": figure_document(profile.whole_s),
        "covered": figure_document(profile.covered),
        "inferences": profile.inferences,
        "source": profile.source,
        "resolution_s": profile.resolution_s,
        "operators": [
            {
                "index": operator.index,
                "type": operator.type,
                "name": operator.name or None,
                "delegate": operator.delegate,
                "time_s": operator.time_s,
                "share": operator.share,
            }
            for operator in profile.operators
        ],
    }
