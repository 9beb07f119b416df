"""The text that keeps an agent running: a unit of systemd, or a script where there is none."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.deployment.layout import NAME, Layout

_RESTART_S = 5
#: The agent puts the machine's state back, and tells the lab.
STOP_TIMEOUT_S = 30
_LOG_BYTES = 10_000_000

# Each works by seccomp, see `Unit.may_filter`.
_FILTERS = """\
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"""
# Only the system's systemd can do these: they need mounts and capabilities.
_MOUNTS = """\
ProtectSystem=strict
# Not hidden altogether: a Python may be installed in there.
ProtectHome=read-only
# The lock that keeps two agents from timing at once lies in /tmp, so that has to be everybody's.
ReadWritePaths={state} /tmp
ProtectControlGroups=yes
"""
_PLAIN_KERNEL = """\
ProtectKernelTunables=yes
CapabilityBoundingSet=
"""
_FILTERED_KERNEL = """\
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectHostname=yes
"""

_UNIT = """\
# Written by `gauntlet deploy`, which overwrites it. Removed by `gauntlet undeploy`.
[Unit]
Description=Gauntlet agent {name}
{after}
[Service]
Type=exec
{user}ExecStart={command}
{where}
Restart=always
RestartSec={restart}
TimeoutStopSec={stop}
# The agent ends its workers; what it could not end goes with it.
KillMode=mixed
UMask=0077
NoNewPrivileges=yes
# Not here: MemoryDenyWriteExecute, since drivers of GPUs write code and run it; PrivateDevices, since GPUs are devices,
# and ProtectClock, which before systemd 253 forbids all devices but one (its issue 18142); priority and scheduler,
# since they are part of what is measured.
{hardening}
[Install]
WantedBy={target}
"""
_AFTER = "Wants=network-online.target\nAfter=network-online.target time-sync.target\n"

_SCRIPT = """\
#!/bin/sh
# Written by `gauntlet deploy`, which overwrites it. Removed by `gauntlet undeploy`.
# Keeps the agent running where there is no systemd, until it is told to stop.
cd {data} || exit 1
echo $$ > agent.pid
: > exits
stopping=
agent=
trap 'stopping=1; [ -z "$agent" ] || kill "$agent" 2>/dev/null' TERM INT
while [ -z "$stopping" ]; do
  [ "$(wc -c 2>/dev/null < agent.log || echo 0)" -lt {log_bytes} ] || mv -f agent.log agent.log.1
  {command} </dev/null >>agent.log 2>&1 &
  agent=$!
  wait "$agent"
  status=$?
  # A signal ends the first wait, not the agent.
  while kill -0 "$agent" 2>/dev/null; do
    wait "$agent"
    status=$?
  done
  agent=
  echo "$status" >> exits
  [ -n "$stopping" ] || {{ sleep {restart} & wait $!; }}
done
rm -f agent.pid
"""


@dataclass(frozen=True)
class Unit:
    """What is to be kept running.

    Attributes:
        name: of the agent.
        layout: of the board.
        options: more words for `gauntlet-agent run`.
        user: who runs it, for a unit of the system; empty: whoever's systemd it is.
        may_filter: filters of system calls do not change what is measured. Before Linux 5.16 a process on x86 that has
            one loses speculative store bypass, which slows it down (`spec_store_bypass_disable=seccomp`, the default
            until then, in the kernel's admin-guide/hw-vuln/spec_store_bypass).
    """

    name: str
    layout: Layout
    options: Sequence[str] = ()
    user: str = ""
    may_filter: bool = True

    @property
    def command(self) -> list[str]:
        """What runs: of whatever release is current, and of no other folder."""
        python = f"{self.layout.current}/bin/python"
        return [python, "-I", "-m", "device_agent", "run", "--state-dir", self.layout.state, *self.options]

    def system_text(self) -> str:
        """As a unit of the system."""
        hardening = _MOUNTS.format(state=_quoted(self.layout.state))
        # A job may set the governor or the power mode: that is /sys, and tools that want the rights of root.
        if "--allow-setup" not in self.options:
            hardening += _PLAIN_KERNEL
        if self.may_filter:
            hardening += _FILTERED_KERNEL
        return self._text(hardening, f"User={_quoted(self.user)}\n", "multi-user.target", _AFTER)

    def user_text(self) -> str:
        """As a unit of the user's own systemd, which may neither mount nor drop capabilities."""
        return self._text("", "", "default.target", "")

    def script(self) -> str:
        """As a script."""
        return _SCRIPT.format(
            data=shlex.quote(self.layout.data),
            command=shlex.join(self.command),
            restart=_RESTART_S,
            log_bytes=_LOG_BYTES,
        )

    def _text(self, hardening: str, user: str, target: str, after: str) -> str:
        return _UNIT.format(
            name=self.name,
            after=after,
            user=user,
            command=" ".join(map(_quoted, self.command)),
            where=working_directory(self.layout),
            restart=_RESTART_S,
            stop=STOP_TIMEOUT_S,
            hardening=hardening + (_FILTERS if self.may_filter else ""),
            target=target,
        )


def working_directory(layout: Layout) -> str:
    """The line of a unit that says whose it is."""
    return f"WorkingDirectory={_escaped(layout.data)}"


def may_filter(machine: str, kernel: str) -> bool:
    """Do filters of system calls leave speed alone there? See `Unit.may_filter`.

    Args:
        machine: as `uname -m` says it.
        kernel: as `uname -r` says it: "5.15.0-generic".
    """
    numbers = kernel.split("-")[0].split(".")[:2]
    known = len(numbers) == 2 and all(number.isdecimal() for number in numbers)
    return machine != "x86_64" or (known and tuple(map(int, numbers)) >= (5, 16))


def _quoted(word: str) -> str:
    """A word of a command line in a unit (systemd.service(5), "Command lines"; specifiers in systemd.unit(5))."""
    text = _escaped(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"' if not text or any(character in text for character in " \t'\"\\;") else text


def _escaped(text: str) -> str:
    """A value in which nothing is a specifier."""
    return text.replace("%", "%%")


#: Of the unit's file and of the service.
UNIT = f"{NAME}.service"
