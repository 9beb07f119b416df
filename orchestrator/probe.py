"""Is the lab of these settings up? For a container's health check: ``python -m orchestrator.probe``.

It takes the settings of `gauntlet lab up`, from the same places, and asks where that one listens. Exit code 0: it
serves; 1: it does not, with the reason on standard error; 2: wrong settings.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestrator import settings
from orchestrator.config import Config, ConfigError
from orchestrator.security import FOLDER
from protos.addresses import join, split

_TIMEOUT_S = 5.0
#: Listening everywhere includes here.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Ask once; see above."""
    try:
        config = settings.load(arguments, environ).config
    except ConfigError as error:
        return _say(str(error), 2)
    try:
        with _channel(config) as channel:
            request = health_pb2.HealthCheckRequest()
            status = health_pb2_grpc.HealthStub(channel).Check(request, timeout=_TIMEOUT_S).status
    except (grpc.RpcError, OSError) as error:
        return _say(f"the lab does not answer: {error.details() if isinstance(error, grpc.Call) else error}", 1)
    if status != health_pb2.HealthCheckResponse.SERVING:
        return _say("the lab is about to stop", 1)
    return 0


def _channel(config: Config) -> grpc.Channel:
    if not config.secure:
        return grpc.insecure_channel(config.address)
    # Where no certificate is asked for. The name is one that the lab's own certificate always has.
    host, port = split(config.entrance)
    authority = (config.folder / FOLDER / "authority.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(authority)
    address = join(_EVERYWHERE.get(host, host), port)
    return grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", "localhost")])


def _say(what: str, code: int) -> int:
    print(f"error: {what}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
