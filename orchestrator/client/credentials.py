"""What `gauntlet login` keeps of each lab, and where."""

from __future__ import annotations

import os
import time
from pathlib import Path

import grpc

from orchestrator.client.errors import ClientError
from protos import addresses, contract
from protos.credentials import Credentials, CredentialsError, check_clock, day

_LOG_IN = "ask an administrator for a token, and run: gauntlet login HOST:PORT TOKEN"


def path_of(address: str) -> Path:
    """The file with the credentials for the lab at this address, whether there is one or not."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return config / "gauntlet" / "labs" / f"{address.replace('/', '_')}.json"


def channel(address: str) -> grpc.aio.Channel:
    """A connection to the lab at this address: with what was kept at login, or without TLS on this machine.

    Raises:
        ClientError: there is nothing to show to a lab elsewhere, or nothing that is good.
    """
    try:
        addresses.check_form(address)
        held = None if address.startswith("unix:") else _load(address)
        if held is not None:
            return held.channel(address)
    except (addresses.AddressError, CredentialsError) as error:
        message, _, remedy = str(error).partition("\n")
        raise ClientError(message, remedy) from error
    if not addresses.is_local(address):
        raise ClientError(f"you are not logged in to the lab at {address}", _LOG_IN)
    return grpc.aio.insecure_channel(address, options=contract.CLIENT_OPTIONS)


def _load(address: str) -> Credentials | None:
    try:
        held = Credentials.load(path_of(address))
    except FileNotFoundError:
        return None
    if held.chain:
        valid_from, valid_to = held.validity()
        check_clock(time.time(), valid_from)
        if time.time() >= valid_to:
            raise CredentialsError(f"your certificate for the lab at {address} expired on {day(valid_to)}\n{_LOG_IN}")
    return held
