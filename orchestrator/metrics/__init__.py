"""``/metrics``: the fleet, the queue, the jobs and the campaigns for Prometheus, and each device as it last reported
itself; ``/sd``: the agents that can be scraped themselves.

    Prometheus ──HTTP──▶ a thread of its own ──asks──▶ event loop: takes a snapshot of references, no more
                              │                          readers of the store: what waits, how campaigns stand
                              └─ turns both into text

Devices are behind NAT or a tunnel, so that the orchestrator speaks for them (`gauntlet_agent_*`): `up` then says that
the orchestrator is there, and `gauntlet_agent_connected` that a device is. What a device does not report is an absent
series, never a zero. Names follow Prometheus' conventions; no label carries the id of a job, a model or a campaign.
"""

from orchestrator.metrics.serving import MetricsServer

__all__ = ["MetricsServer"]
