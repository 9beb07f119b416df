"""Whose turn it is: users get equal shares of the devices' time, and a user's campaigns equal shares of theirs.

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), in two levels. Each account has a virtual time, the
device-seconds that it used; the one that is furthest behind goes next:

    pool (a class of devices) ─┬─ user ann ─┬─ campaign a      12.5 s ◀── ann is behind bob, and a behind b: a's job
                               │   20.0 s   └─ campaign b       7.5 s + …
                               └─ user bob ── …                30.0 s

* An account that has had nothing to do starts at the virtual time that the others have reached: idleness earns no
  credit, and what was used while nobody else wanted the devices is not held against anybody.
* How long a job will take is not known when it is handed out: it is charged what its campaign's jobs usually take, what
  it has taken once that is more, and what it took in the end.
* Each class of devices is shared by itself. A campaign that measures on several must not wait on one of them because
  it had much of another, which nobody else wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from orchestrator.store.base import Share

#: What a job is taken for as long as nothing is known of its campaign and pool.
_UNKNOWN_S = 1.0
#: Weight of the newest job in what is usual.
_NEWEST = 0.3
_RECENT_S = 3600.0
#: Less than this of device time is as good as none.
_FORGOTTEN_S = 1e-3


@dataclass
class _Charge:
    """A lease that is out."""

    pool: str
    share: Share
    usual_s: float
    #: When its device began to work on it; None while it waits there.
    since: float | None = None

    def at(self, now: float) -> float:
        return max(self.usual_s, self.taken(now))

    def taken(self, now: float) -> float:
        return 0.0 if self.since is None else now - self.since


@dataclass
class _Account:
    """A user of a pool, or a campaign of such a user."""

    used_s: float = 0.0
    charges: dict[str, _Charge] = field(default_factory=dict)
    #: When it was chosen last, as a number that only grows.
    chosen: int = 0
    #: The last round in which it had something to wait for.
    waited: int = -1

    def virtual(self, now: float) -> float:
        return self.used_s + sum(charge.at(now) for charge in self.charges.values())


class _Level:
    """Accounts that compete with each other."""

    def __init__(self) -> None:
        self.accounts: dict[str, _Account] = {}
        self.reached = 0.0

    def account(self, name: str) -> _Account:
        return self.accounts.setdefault(name, _Account(self.reached))

    def enter(self, names: Collection[str], number: int, now: float) -> None:
        """These have jobs waiting in this round."""
        active = {n for n, account in self.accounts.items() if account.charges or account.waited >= number - 1}
        if active:
            self.reached = max(self.reached, min(self.accounts[name].virtual(now) for name in active))
        for name in [n for n, a in self.accounts.items() if n not in active and a.used_s <= self.reached]:
            del self.accounts[name]  # as good as one that never was here
        for name in names:
            self.account(name).waited = number


class _Pool:
    def __init__(self) -> None:
        self.users = _Level()
        self.campaigns: dict[str, _Level] = {}
        self.usual_s: dict[Share, float] = {}
        self.rounds = 0

    def accounts(self, share: Share) -> tuple[_Account, _Account]:
        level = self.campaigns.setdefault(share.user, _Level())
        return self.users.account(share.user), level.account(share.campaign_id)

    def usual(self, share: Share) -> float:
        if share in self.usual_s:
            return self.usual_s[share]
        known = self.usual_s.values()
        return sum(known) / len(known) if known else _UNKNOWN_S

    def learn(self, share: Share, taken_s: float) -> None:
        known = self.usual_s.get(share, taken_s)
        self.usual_s[share] = known + _NEWEST * (taken_s - known)

    def forget(self) -> None:
        """Drop what is known of users who are gone."""
        for user in [user for user in self.campaigns if user not in self.users.accounts]:
            del self.campaigns[user]
        for share in [share for share in self.usual_s if share.user not in self.campaigns]:
            del self.usual_s[share]


class Round:
    """One distribution of jobs: what it chooses counts at once, but not beyond it."""

    def __init__(self, pools: dict[str, _Pool], now: float, count: Callable[[], int]) -> None:
        self._pools = pools
        self._now = now
        self._count = count
        self._waiting: dict[str, set[Share]] = {}
        self._virtual: dict[tuple[str, ...], float] = {}

    def choose(self, name: str, waiting: Collection[Share], candidates: Collection[Share]) -> Share:
        """Who goes next.

        Args:
            name: the pool whose device is free.
            waiting: all that have a job for that device.
            candidates: those among them whose jobs are the most urgent; at least one.
        """
        pool = self._pools.setdefault(name, _Pool())
        self._enter(name, pool, set(waiting))
        share = min(candidates, key=lambda share: self._rank(name, pool, share))
        usual_s, number = pool.usual(share), self._count()
        for key, account in zip(_keys(name, share), pool.accounts(share), strict=True):
            self._virtual[key] += usual_s
            account.chosen = number
        return share

    def _enter(self, name: str, pool: _Pool, waiting: set[Share]) -> None:
        known = self._waiting.get(name)
        if known is None:
            pool.rounds += 1
            known = self._waiting[name] = set()
        if waiting <= known:
            return
        known |= waiting
        pool.users.enter({share.user for share in known}, pool.rounds, self._now)
        for user in {share.user for share in known}:
            level = pool.campaigns.setdefault(user, _Level())
            level.enter({share.campaign_id for share in known if share.user == user}, pool.rounds, self._now)
        pool.forget()

    def _rank(self, name: str, pool: _Pool, share: Share) -> tuple[float, int, float, int]:
        user, campaign = pool.accounts(share)
        of_user, of_campaign = _keys(name, share)
        for key, account in ((of_user, user), (of_campaign, campaign)):
            if key not in self._virtual:
                self._virtual[key] = account.virtual(self._now)
        return self._virtual[of_user], user.chosen, self._virtual[of_campaign], campaign.chosen


def _keys(pool: str, share: Share) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (pool, share.user), (pool, *share)


class FairShare:
    """The books: who holds what, and what everybody has used.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pools: dict[str, _Pool] = {}
        self._charges: dict[str, _Charge] = {}
        self._chosen = 0
        #: Device-seconds that fade, and when that was the value.
        self._recent: dict[Share, tuple[float, float]] = {}

    def round(self) -> Round:
        """Begin to distribute."""
        return Round(self._pools, self._clock(), self._count)

    def lease(self, lease_id: str, pool: str, share: Share) -> None:
        """A job was handed out; its device may have others to do first."""
        books = self._pools.setdefault(pool, _Pool())
        charge = self._charges[lease_id] = _Charge(pool, share, books.usual(share))
        for account in books.accounts(share):
            account.charges[lease_id] = charge

    def begin(self, lease_id: str) -> None:
        """Its device has nothing else to do first, from now on."""
        self._charges[lease_id].since = self._clock()

    def end(self, lease_id: str, *, finished: bool = True) -> None:
        """The lease is over; one that is not known changes nothing.

        Args:
            lease_id: the lease.
            finished: it was carried out, so that its time says something about the next one.
        """
        charge = self._charges.pop(lease_id, None)
        if charge is None:
            return
        now = self._clock()
        taken_s = charge.taken(now)
        pool = self._pools[charge.pool]
        for account in pool.accounts(charge.share):
            account.charges.pop(lease_id, None)
            account.used_s += taken_s
        if charge.since is not None:
            if finished:
                pool.learn(charge.share, taken_s)
            self._recent[charge.share] = (self._faded(charge.share, now) + taken_s, now)

    def recent(self) -> dict[Share, float]:
        """Device-seconds that each had lately: each counts less as it ages, after an hour 37 %."""
        now = self._clock()
        recent = {share: self._faded(share, now) for share in self._recent}
        for charge in self._charges.values():
            recent[charge.share] = recent.get(charge.share, 0.0) + charge.taken(now)
        self._recent = {s: known for s, known in self._recent.items() if recent[s] > _FORGOTTEN_S}
        return {share: used_s for share, used_s in recent.items() if used_s > _FORGOTTEN_S}

    def _faded(self, share: Share, now: float) -> float:
        used_s, at = self._recent.get(share, (0.0, now))
        return used_s * math.exp((at - now) / _RECENT_S)

    def _count(self) -> int:
        self._chosen += 1
        return self._chosen
