"""AgentService: the one outbound stream of each agent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import grpc

from orchestrator import failpoints, registry
from orchestrator.counters import Counters
from orchestrator.hub import Hub
from orchestrator.intake import SessionRefusedError
from orchestrator.limits import TokenBucket
from orchestrator.services import LOCAL, Caller, Context, abort, caller
from orchestrator.store.base import StoreError
from protos import logs
from protos.gauntlet.v1 import agent_pb2, agent_pb2_grpc

log = logging.getLogger(__name__)
_HELLO_TIMEOUT_S = 10.0
#: For an agent that reads; one that does not is cut off.
_LAST_WRITE_S = 2.0
#: What one session may say in the long run and in a moment: a busy agent of many fast jobs stays well below. What comes
#: faster is not read: it waits in the sender, by HTTP/2's flow control, and costs the others nothing.
_MESSAGES_PER_S, _MESSAGES_AT_ONCE = 500.0, 1000.0
#: A large message counts for many: this many bytes are worth a message.
_BYTES_OF_A_MESSAGE = 32 * 1024
_SENT = {"lease": "lease.after_send", "finished_ack": "result.after_ack"}


class AgentService(agent_pb2_grpc.AgentServiceServicer):
    """A shell around `Hub`: one task reads, one writes, the first to end ends the session."""

    def __init__(self, hub: Hub, counters: Counters) -> None:
        self._hub = hub
        self._counters = counters

    async def Session(  # noqa: N802  # the name that gRPC gives it
        self, requests: AsyncIterator[agent_pb2.SessionRequest], context: Context
    ) -> None:
        """See agent.proto."""
        session: registry.Session | None = None
        reason = "the connection ended"
        try:
            session = await self._hub.open_session(_own(await _hello(requests), caller(context)))
            self._counters.session("opened")
            with logs.known(agent_id=session.agent_id):
                reader = asyncio.create_task(self._read(session, requests))
                writer = asyncio.create_task(_write(session, context))
            try:
                done, _ = await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
                # A write that is cancelled half-way leaves gRPC unable to say that the call is over, and an agent that
                # waits for that for ever: the writer ends by itself.
                session.finish()
                await asyncio.wait({writer}, timeout=_LAST_WRITE_S)
            finally:
                reader.cancel()
                writer.cancel()
            for task in done:
                task.result()
            if session.closed_because and not session.goodbye:
                await abort(context, grpc.StatusCode.UNAVAILABLE, session.closed_because)
        except SessionRefusedError as refusal:
            reason = f"refused: {refusal.message.splitlines()[0]}"
            self._counters.session("refused")
            log.warning("a session was refused: %s", refusal.message.replace("\n", "; "))
            await abort(context, refusal.code, refusal.message)
        except StoreError as error:
            reason = f"store: {error}"
            await abort(context, grpc.StatusCode.UNAVAILABLE, str(error))
        finally:
            if session is not None:
                # Shielded: a client that goes away cancels this handler, and its devices must still be let go.
                self._counters.session("closed")
                await asyncio.shield(self._hub.close_session(session, reason))

    async def _read(self, session: registry.Session, requests: AsyncIterator[agent_pb2.SessionRequest]) -> None:
        bucket = TokenBucket(_MESSAGES_PER_S, _MESSAGES_AT_ONCE, asyncio.get_running_loop().time)
        async for request in requests:
            self._counters.message(request)
            wait_s = bucket.take(1 + request.ByteSize() / _BYTES_OF_A_MESSAGE)
            if wait_s:
                await asyncio.sleep(wait_s)
            try:
                await self._hub.handle(session, request)
            except StoreError as error:
                log.error("message of agent %s not stored: %s", session.agent_id, error)


async def _hello(requests: AsyncIterator[agent_pb2.SessionRequest]) -> agent_pb2.Hello:
    try:
        first = await asyncio.wait_for(anext(requests), _HELLO_TIMEOUT_S)
    except (TimeoutError, StopAsyncIteration):
        raise SessionRefusedError(grpc.StatusCode.INVALID_ARGUMENT, "no hello came") from None
    if first.WhichOneof("event") != "hello":
        raise SessionRefusedError(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be a hello")
    return first.hello


def _own(hello: agent_pb2.Hello, who: Caller) -> agent_pb2.Hello:
    """The hello of an agent that says the name which its certificate is for."""
    if who is not LOCAL and hello.agent.agent_id != who.name:
        raise SessionRefusedError(
            grpc.StatusCode.PERMISSION_DENIED,
            f"the certificate is for {who.name!r}, not for agent {hello.agent.agent_id[:64]!r}\n"
            "join with a token for this agent: gauntlet-agent join HOST:PORT TOKEN",
        )
    return hello


async def _write(session: registry.Session, context: Context) -> None:
    while (command := await session.next_command()) is not None:
        await context.write(command)
        failpoints.reach(_SENT.get(command.WhichOneof("command"), ""))
