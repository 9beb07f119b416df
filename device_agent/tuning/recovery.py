"""When to run which recovery command for a wedged board. Pure: events and times in, a decision out.

    well ──trouble──▶ doubtful ──trouble × n──▶ wedged ──▶ run the next hook ──▶ settling ──trouble──▶ wedged …
     ▲                   │                                                          │
     └──────well─────────┴──────────────────────────────well────────────────────────┘

Hooks are tried in the order of the configuration, the mildest first (USB hub, power outlet, reboot); the last one is
kept up. Whatever happens, two runs lie at least `min_interval_s` apart, and no more than `max_per_day` fall into any 24
hours. The history of runs outlives the process, since a reboot is one of the hooks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Tuple

DAY_S = 24 * 3600.0


@dataclass(frozen=True)
class Limits:
    """How much recovery is allowed.

    Attributes:
        after_troubles: in a row, before anything is done.
        min_interval_s: between two runs.
        max_per_day: runs in any 24 hours.
        settle_s: after a run, in which trouble does not count: the board is starting.
    """

    after_troubles: int = 3
    min_interval_s: float = 600.0
    max_per_day: int = 5
    settle_s: float = 120.0


@dataclass(frozen=True)
class Recovery:
    """A board's state. Immutable: each event gives the next one.

    Attributes:
        limits: what is allowed.
        hooks: number of commands there are.
        troubles: in a row since it was well, or since the last run.
        next_hook: to be run next.
        runs: times of the runs of the last day, oldest first: Unix time, since they outlive a boot.
        blocked: why nothing is done although it is wedged; empty otherwise.
    """

    limits: Limits
    hooks: int
    troubles: int = 0
    next_hook: int = 0
    runs: Tuple[float, ...] = ()
    blocked: str = ""

    def well(self) -> Recovery:
        """The board answers: from here on the mildest hook comes first again."""
        return replace(self, troubles=0, next_hook=0, blocked="")

    def trouble(self, now: float) -> Tuple[Recovery, Optional[int]]:
        """The board does not answer.

        Args:
            now: Unix time. A clock that was put back never shortens a wait.

        Returns:
            The next state, and the number of the hook to run; None: none. A run counts once it is decided, whatever
            the command then does.
        """
        # What lies in the future was just now, before the clock was put back.
        recent = tuple(min(at, now) for at in self.runs if now - at < DAY_S)
        state = replace(self, runs=recent, blocked="")
        if not self.hooks or (recent and now - recent[-1] < self.limits.settle_s):
            return state, None
        state = replace(state, troubles=self.troubles + 1)
        if state.troubles < self.limits.after_troubles:
            return state, None
        if len(recent) >= self.limits.max_per_day:
            reason = f"{len(recent)} recoveries in 24 hours are the most that is allowed: a person has to look at it"
            return replace(state, blocked=reason), None
        if recent and now - recent[-1] < self.limits.min_interval_s:
            reason = f"the last recovery is less than {self.limits.min_interval_s:g} s ago"
            return replace(state, blocked=reason), None
        hook = min(self.next_hook, self.hooks - 1)
        after = min(hook + 1, self.hooks - 1)
        return replace(state, troubles=0, next_hook=after, runs=(*recent, now)), hook
