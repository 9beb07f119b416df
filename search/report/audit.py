"""A supernet's audit as plain data, for the run log and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.supernet.audit import Audit


def audit_document(audit: Audit) -> dict[str, Any]:
    """Plain data, with networks by their texts."""
    return {
        "subnets": [
            {
                "architecture": subnet.architecture.text,
                "inherited": subnet.inherited,
                "standalone": list(subnet.standalone),
            }
            for subnet in audit.subnets
        ],
        "tau": audit.tau,
        "tau_interval": None if audit.tau_interval is None else list(audit.tau_interval),
        "ceiling": audit.ceiling,
        "inherited_range": list(audit.inherited_range),
        "standalone_range": list(audit.standalone_range),
        "noise": audit.noise,
        "verdict": audit.verdict,
        "reason": audit.reason,
    }
