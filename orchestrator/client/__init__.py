"""How everything else reaches the orchestrator: an asynchronous client and a synchronous façade over it."""

from orchestrator.client.aio import Client
from orchestrator.client.errors import ClientError, NotFound, Refused, Unreachable
from orchestrator.client.settling import Ended
from orchestrator.client.sync import SyncClient

__all__ = ["Client", "ClientError", "Ended", "NotFound", "Refused", "SyncClient", "Unreachable"]
