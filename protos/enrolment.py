"""Joining a lab, and renewing what one got: the side of who joins.

Nothing is said to anybody before he has proved to be the lab that made the token:

    1  fetch the certificate of whoever answers, and ask him for his authority        (trusts nobody, tells nothing)
    2  compare the authority with the token's pin                                      ✗ → end
    3  connect anew, trusting that authority only, host name checked                   ✗ → end
    4  send the token with a request for a new key's certificate
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import ssl
import time
from typing import Callable

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from protos import addresses
from protos.addresses import AddressError
from protos.credentials import Credentials, CredentialsError, check_clock, secure_channel
from protos.gauntlet.v1 import admin_pb2, admin_pb2_grpc, fleet_pb2, fleet_pb2_grpc
from protos.joining import ANY_ORCHESTRATOR, JOIN, Token, TokenError, new_request, parse_token, pin_of

_TIMEOUT_S = 15.0
_ROLES = {admin_pb2.ROLE_AGENT: "agent", admin_pb2.ROLE_USER: "user", admin_pb2.ROLE_ADMIN: "admin"}
_HOW = "use the address that `gauntlet lab token` printed"


class JoinError(Exception):
    """Joining or renewing failed; a second line says what to do."""


async def join(
    address: str, text: str, holder: str, name: str = "", clock: Callable[[], float] = time.time
) -> Credentials:
    """Trade a token for credentials. An API token is kept as it is.

    Args:
        address: of the lab's entrance, ``HOST:PORT``.
        text: the token.
        holder: who joins: "agent" or "person".
        name: that the certificate must be for; empty: whatever the token says.
        clock: Unix time.

    Raises:
        JoinError: nobody answers, he is not the lab that made the token, or the token is not good.
    """
    try:
        token = parse_token(text)
        host, port = addresses.split(address)
        leaf = await asyncio.to_thread(_leaf, host, port)
        check_clock(clock(), leaf.not_valid_before_utc.timestamp())
        authority = await _pinned_authority(address, leaf, token)
        _check_host(host, leaf)
    except (TokenError, AddressError, CredentialsError) as error:
        raise JoinError(str(error)) from error
    trusted = Credentials(address, authority, name="", role="", token="" if token.kind == JOIN else str(token))
    if token.kind != JOIN and holder == "agent":
        raise JoinError("this is an API token; an agent needs one that joins\nmake it with: gauntlet lab token NAME")
    return await (_enrol(trusted, token, name, holder) if token.kind == JOIN else _log_in(trusted))


async def renew(held: Credentials, channel: grpc.aio.Channel) -> Credentials:
    """The same credentials with a new key and certificate.

    Args:
        held: good still.
        channel: opened with them.

    Raises:
        JoinError: it could not be reached, or refused.
    """
    key, request = new_request(held.name)
    stub = admin_pb2_grpc.EnrolmentServiceStub(channel)  # type: ignore[no-untyped-call]
    try:
        response = await stub.Renew(admin_pb2.RenewRequest(signing_request=request.decode()), timeout=_TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        raise JoinError(error.details() or error.code().name) from error
    return Credentials(held.address, held.authority, held.name, held.role, key.decode(), response.certificate_chain)


def _leaf(host: str, port: int) -> x509.Certificate:
    """The certificate of whoever answers; believed in nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    where = addresses.join(host, port)
    try:
        plain = socket.create_connection((host, port), _TIMEOUT_S)
        with plain, context.wrap_socket(plain, server_hostname=ANY_ORCHESTRATOR) as tls:
            return x509.load_der_x509_certificate(tls.getpeercert(True) or b"")
    except (ssl.SSLError, ValueError) as error:
        raise JoinError(f"who answers at {where} does not speak TLS\n{_HOW}") from error
    except OSError as error:
        reason = error.strerror or str(error) or "no answer"
        raise JoinError(f"nobody answers at {where}: {reason}\nis the lab up? {_HOW}") from error


async def _pinned_authority(address: str, leaf: x509.Certificate, token: Token) -> str:
    """The authority of whoever answers, PEM, if it is the one that the token names."""
    pem = leaf.public_bytes(Encoding.PEM)
    tls = grpc.ssl_channel_credentials(pem)
    async with secure_channel(address, tls, ("grpc.ssl_target_name_override", ANY_ORCHESTRATOR)) as channel:
        stub = admin_pb2_grpc.EnrolmentServiceStub(channel)  # type: ignore[no-untyped-call]
        try:
            response = await stub.GetAuthority(admin_pb2.GetAuthorityRequest(), timeout=_TIMEOUT_S)
            claimed: str = response.certificate
            authority = x509.load_pem_x509_certificate(claimed.encode())
        except grpc.aio.AioRpcError as error:
            raise JoinError(
                f"who answers at {address} takes nobody without a certificate, or is no lab\n"
                f"{_HOW}: the port to join at is not the lab's own, but usually the next"
            ) from error
        except ValueError as error:
            raise JoinError(f"who answers at {address} is no lab\n{_HOW}") from error
    if not hmac.compare_digest(pin_of(authority), token.pin):
        raise JoinError(
            f"the lab at {address} is not the one that made this token; the token was not sent\n"
            "check address and token; if both are right, somebody stands between you and the lab"
        )
    return claimed


def _check_host(host: str, leaf: x509.Certificate) -> None:
    """In our words; TLS checks it again on the connection that is trusted, and that is what counts."""
    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))]
    except x509.ExtensionNotFound:
        names = []
    if host.lower() not in (name.lower() for name in names):
        listed = ", ".join(name for name in names if name != ANY_ORCHESTRATOR)
        raise JoinError(
            f"the lab's certificate is not for {host!r}, but for {listed}; the token was not sent\n"
            f"use one of these, or run on the server: gauntlet lab init --name {host}"
        )


async def _enrol(trusted: Credentials, token: Token, name: str, holder: str) -> Credentials:
    key, signing = new_request(name, holder)
    async with trusted.channel() as channel:
        stub = admin_pb2_grpc.EnrolmentServiceStub(channel)  # type: ignore[no-untyped-call]
        request = admin_pb2.EnrolRequest(token=str(token), signing_request=signing.decode())
        try:
            response = await stub.Enrol(request, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise JoinError(_refusal(error, trusted.address)) from error
    host, port = addresses.split(trusted.address)
    told_host, _, told_port = response.address.rpartition(":")
    return Credentials(
        addresses.join(told_host.strip("[]") or host, int(told_port) if told_port.isdecimal() else port),
        trusted.authority,
        response.name,
        _ROLES.get(response.role, "user"),
        key.decode(),
        response.certificate_chain,
    )


async def _log_in(trusted: Credentials) -> Credentials:
    """Does the lab know this API token? Who is it?"""
    async with trusted.channel() as channel:
        stub = fleet_pb2_grpc.FleetServiceStub(channel)  # type: ignore[no-untyped-call]
        try:
            status = await stub.GetStatus(fleet_pb2.GetStatusRequest(), timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise JoinError(_refusal(error, trusted.address)) from error
    name, _, role = status.caller.partition(" ")
    return Credentials(trusted.address, trusted.authority, name, role.strip("()"), token=trusted.token)


def _refusal(error: grpc.aio.AioRpcError, address: str) -> str:
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return f"the lab at {address} went away: {error.details()}\ntry again; a token that was not used stays good"
    return error.details() or error.code().name
