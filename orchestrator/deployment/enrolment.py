"""The board's side of joining a lab."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from orchestrator.deployment.errors import CommandError, DeploymentError
from orchestrator.deployment.lab import Held, LabSide
from orchestrator.deployment.layout import Layout
from orchestrator.deployment.ports import Remote

_JOIN_TIMEOUT_S = 90.0
# The key stays where it is.
_READ = """
import json, sys
with open(sys.argv[1]) as file:
    held = json.load(file)
try:
    with open(sys.argv[2]) as file:
        joined_at = file.read().strip()
except OSError:
    joined_at = ""
print(json.dumps({"joined_at": joined_at, **{key: str(held[key]) for key in ("name", "authority", "chain")}}))
"""
_REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 8).close()
except OSError as error:
    sys.exit(str(error))
"""


class Enrolment:
    """The certificate of one board's agent.

    Args:
        remote: the board.
        layout: its paths.
        python: any Python on it.
    """

    def __init__(self, remote: Remote, layout: Layout, python: str) -> None:
        self._remote = remote
        self._layout = layout
        self._python = python
        self._mark = f"{layout.data}/joined"

    def read(self) -> Held | None:
        """What the agent has; None: nothing that can be read."""
        command = [self._python, "-I", "-c", _READ, f"{self._layout.state}/credentials.json", self._mark]
        done = self._remote.run(command, check=False)
        try:
            return TypeAdapter(Held).validate_json(done.stdout) if done.status == 0 else None
        except ValidationError:
            return None

    def check_way(self, host: str, port: int) -> None:
        """Can the board reach the lab?

        Raises:
            DeploymentError: it cannot.
        """
        done = self._remote.run([self._python, "-I", "-c", _REACH, host, str(port)], check=False)
        if done.status:
            why = (done.stderr.strip().splitlines() or ["no answer"])[-1]
            raise DeploymentError(
                f"{self._remote.name} cannot reach the lab at {host}:{port}: {why}",
                "let the board resolve the name and pass the firewall, or use another --lab ADDRESS",
            )

    def join(self, release: str, lab: LabSide) -> None:
        """Join, with a token that goes over standard input. No agent may run.

        Args:
            release: folder of the one that joins.
            lab: to join.

        Raises:
            DeploymentError: the lab did not let it in, or cannot be reached.
        """
        entrance, token = lab.token(self._remote.name)
        words = ["join", entrance, "-", "--state-dir", self._layout.state]
        command = [f"{release}/bin/python", "-I", "-m", "device_agent", *words]
        done = self._remote.run(command, _JOIN_TIMEOUT_S, stdin=f"{token}\n".encode(), check=False)
        if done.status:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["it does not say why"]
            said = next((place for place, line in enumerate(lines) if line.startswith("error: ")), len(lines) - 1)
            raise CommandError(
                f"{self._remote.name} could not join the lab: {lines[said].removeprefix('error: ')}",
                " ".join(lines[said + 1 :]),
            )
        self._remote.write(self._mark, f"{lab.address}\n".encode())
