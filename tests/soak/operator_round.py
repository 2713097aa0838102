"""The operator at work in one round: they look at each host that waits, and do what helps, with some patience."""

from __future__ import annotations

import time
from collections.abc import Mapping

from nova_ha.clock import SystemClock

from soak.operator import Answer, Command, Operator, answer
from soak.scene import Seen
from soak.site import Site
from soak.story import Story

# They see whether it helps before they order it again: each order writes what a claim depends on.
PATIENCE_S = {True: 25.0, False: 4.0}
MOST_ORDERS = 10


class OperatorRound:
    """What the operator has done about each host. `changed_at` is when they did something last."""

    def __init__(self, operator: Operator, site: Site, story: Story, *, vouches: bool) -> None:
        self._operator, self._site, self._story = operator, site, story
        self._vouches = vouches
        self._orders: dict[str, list[Command]] = {}
        self._ordered_at: dict[str, float] = {}
        self._left: set[str] = set()
        self.changed_at = time.monotonic()

    def leaves(self, name: str) -> bool:
        """True where the host lives, and they leave its incident to the reset."""
        return name in self._left

    def exhausted(self, name: str) -> bool:
        """True when they have tried so often that more is no use."""
        return len(self._orders.get(name, ())) > MOST_ORDERS

    def help(self, name: str, seen: Seen) -> bool:
        """Do what there is to do about a host that waits; return whether it may be fenced because of that."""
        if seen.refused_by is None or not self._is_time(name):
            return False
        lives = self._site.lives(name)
        if seen.asks_at is None and lives:
            return False
        does = answer(seen.refused_by, name, lives=lives, vouches=self._vouches)
        if does is None:
            return False
        self._do(name, does)
        return not lives

    def tidy(self, seen: Mapping[str, Seen], *, paused: bool) -> bool:
        """End a pause and maintenances that nobody means any more, and return whether there were any."""
        left = [name for name, host in seen.items() if host.node.maintained(SystemClock().now())]
        if paused and self._is_time(""):
            self._do("", Answer(("resume",)))
        for name in left:
            if self._is_time(name):
                self._do(name, Answer(("node", "maintenance", name, "--end")))
        return paused or bool(left)

    def reset(self, name: str) -> None:
        """Take a repaired host back, or try again to."""
        if self._is_time(name):
            self._do(name, Answer(("node", "reset", name)))

    def begin_anew(self) -> None:
        """Forget what was ordered before."""
        self._orders, self._ordered_at = {}, {}

    def orders(self, name: str) -> str:
        """Return what they have ordered about a host."""
        return ", ".join(map(str, self._orders.get(name, ())))

    def _do(self, name: str, does: Answer) -> None:
        if does.unplugs:
            self._story.tell(f"operator pulls the plug of {name}")
            self._site.darken(name)
        if not does.words:
            self._left.add(name)
            return
        self._orders.setdefault(name, []).append(self._operator.order(*does.words))
        self._ordered_at[name] = self.changed_at = time.monotonic()

    def _is_time(self, name: str) -> bool:
        if not (orders := self._orders.get(name)):
            return True
        code = orders[-1].code
        return code is not None and time.monotonic() > self._ordered_at[name] + PATIENCE_S[code == 0]
