"""How an agent joins a lab, keeps what it got, and renews it in time.

join ──▶ credentials.json ──▶ run ──2/3 of its life──▶ renewed, with a new key ──▶ …
              ▲                 └──not reached before it expired──▶ says how to join again
              └── a new token: the agent keeps its id and its state
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Awaitable, Callable, Optional

from device_agent.identity import StateError, keep_id, known_id, lock
from device_agent.uplink import Uplink
from protos import enrolment
from protos.credentials import Credentials, CredentialsError, check_clock, day

log = logging.getLogger(__name__)

FILE = "credentials.json"
_CLOCK_PAUSE_S = 5.0
_LONGEST_SLEEP_S = 3600.0
_FIRST_RETRY_S, _LONGEST_RETRY_S = 30.0, 3600.0
_REJOIN = "ask an administrator for a token, and run: gauntlet-agent join HOST:PORT TOKEN (id and state are kept)"


def join(root: Path, address: str, token: str) -> Credentials:
    """Join a lab with a token, or join it again.

    Raises:
        StateError: the folder cannot be used, or an agent runs there.
        JoinError: the lab did not let it in.
    """
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with lock(root / "agent.lock"):
            got = asyncio.run(enrolment.join(address, token, "agent", known_id(root)))
            got.save(root / FILE)
            keep_id(root, got.name)
            return got
    except OSError as error:
        raise StateError(f"cannot use {root}: {error.strerror}\nchoose another with --state-dir") from error
    except CredentialsError as error:
        raise StateError(str(error)) from error


def load(root: Path, agent_id: str = "") -> Optional[Credentials]:
    """What the agent got when it joined; None when it never did.

    Args:
        root: the state folder.
        agent_id: that it wants to have; empty: the one it joined with.

    Raises:
        StateError: damaged, readable by others, or for another agent.
    """
    try:
        held = Credentials.load(root / FILE)
    except FileNotFoundError:
        return None
    except CredentialsError as error:
        raise StateError(str(error)) from error
    if agent_id not in ("", held.name):
        raise StateError(
            f"the certificate in {root} is for agent {held.name!r}, not for {agent_id!r}\n"
            f"join with a token for {agent_id!r}, and with a --state-dir of its own"
        )
    return held


async def ready(held: Credentials, clock: Callable[[], float] = time.time) -> None:
    """Wait until the clock of this machine is right, as far as the certificate can tell.

    Raises:
        StateError: the certificate has expired.
    """
    told = False
    while True:
        valid_from, valid_to = held.validity()
        if clock() >= valid_to:
            raise StateError(f"the certificate of agent {held.name!r} expired on {day(valid_to)}\n{_REJOIN}")
        try:
            check_clock(clock(), valid_from)
            return
        except CredentialsError as error:
            if not told:
                log.warning("waiting: %s", str(error).replace("\n", "; "))
            told = True
        await asyncio.sleep(_CLOCK_PAUSE_S)


def renewal_due(held: Credentials) -> float:
    """When to renew: with a third of its life left. Unix time."""
    valid_from, valid_to = held.validity()
    return valid_to - (valid_to - valid_from) / 3


async def renew_forever(
    held: Credentials,
    root: Path,
    uplink: Uplink,
    renewed: Callable[[], Awaitable[None]],
    clock: Callable[[], float] = time.time,
) -> None:
    """Renew whenever it is due, and connect with what is new. Ends by cancellation only.

    Args:
        held: in use now.
        root: the state folder.
        uplink: connects with new credentials from then on.
        renewed: called afterwards: the session has to move to the new connection.
        clock: Unix time.
    """
    retry_s = _FIRST_RETRY_S
    while True:
        # In short sleeps: a machine that was suspended, or set its clock, looks again soon.
        if (left_s := renewal_due(held) - clock()) > 0:
            await asyncio.sleep(min(left_s, _LONGEST_SLEEP_S))
            continue
        try:
            fresh = await enrolment.renew(held, uplink.channel)
            fresh.save(root / FILE)
        except (enrolment.JoinError, CredentialsError) as error:
            end = held.validity()[1]
            if clock() >= end:
                log.error("the certificate of agent %s expired on %s: %s", held.name, day(end), _REJOIN)
            else:
                log.warning("certificate not renewed yet: %s", str(error).replace("\n", "; "))
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
            continue
        held, retry_s = fresh, _FIRST_RETRY_S
        uplink.use(held)
        await renewed()
        log.info("certificate renewed, good until %s", day(held.validity()[1]))
