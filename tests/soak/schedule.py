"""When the faults of one round strike and end, and what came of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from soak.faults import FAULTS, reach
from soak.kinds import FAILURES, Area, Kind
from soak.plan import HOSTS, Moment, Round, Strike
from soak.site import Site
from soak.story import Story
from soak.summary import Summary


class Schedule:
    """The strikes of one round. `changed_at` is when one of them struck or ended last, by the monotonic clock."""

    def __init__(self, drawn: Round, site: Site, story: Story, summary: Summary) -> None:
        self._site, self._story, self._summary = site, story, summary
        self._pending = sorted(drawn.strikes, key=lambda strike: strike.when)
        self._due: dict[Strike, float] = {}
        self._ends: dict[Strike, float] = {}
        self._reached: dict[str, Moment] = {}
        self._recorded: dict[Strike, int] = {}
        self._struck_at: dict[Strike, float] = {}
        self.changed_at = time.monotonic()
        # Hosts that live though their logins fail, by what ails them.
        self.living: dict[str, Strike] = {}
        # Hosts that have failed; those of them that may be fenced; hosts and HA nodes that have lost their power.
        self.failed: set[str] = set()
        self.meant: set[str] = set()
        self.went_dark: set[str] = set()

    @property
    def open(self) -> bool:
        """True while something is to strike, as its moment has come, or to end."""
        coming = any(strike in self._due for strike in self._pending)
        return coming or any(strike.lasts_s for strike in self._ends)

    @property
    def in_force(self) -> Sequence[Strike]:
        """Return what has struck, and has not ended."""
        return list(self._ends)

    def struck_for_s(self, strike: Strike) -> float:
        """Return how long ago it has struck."""
        return time.monotonic() - self._struck_at[strike]

    def reach(self, moments: Mapping[str, Moment]) -> None:
        """Take note of how far the hosts have come; what a host has reached it does not lose."""
        for host, moment in moments.items():
            self._reached[host] = max(moment, self._reached.get(host, Moment.WITH))

    def turn(self) -> None:
        """End what is to end now, and let strike what is due."""
        now = time.monotonic()
        for strike in [strike for strike, at in self._ends.items() if at <= now]:
            self._end(strike)
        for strike in self._ends:
            FAULTS[strike.kind].again(self._site, strike)
        for strike in list(self._pending):
            if strike not in self._due and self._reached.get(strike.host, Moment.WITH) >= strike.when:
                self._due[strike] = now + strike.after_s
            if self._due.get(strike, now + 1) <= now:
                self._pending.remove(strike)
                self._strike(strike)

    def close(self) -> None:
        """End all that has struck, and forget what never came to it."""
        for strike in self._pending:
            self._miss(strike, "it never came so far")
        self._pending = []
        for strike in list(self._ends):
            self._end(strike)

    def _strike(self, strike: Strike) -> None:
        struck = FAULTS[strike.kind].strike(self._site, strike)
        self.changed_at = time.monotonic()
        if not struck:
            self._miss(strike, "nothing was left to strike")
            return
        self._story.tell(f"FAULT {strike.kind.words} ({self._struck(strike)})")
        self._summary.struck[strike.kind] += 1
        self._struck_at[strike] = self.changed_at
        self._ends[strike] = self.changed_at + strike.lasts_s if strike.lasts_s else float("inf")
        self._recorded[strike] = self._site.record(*self._for_the_auditor(strike), reach(strike.kind))
        self._remember(strike)

    def _remember(self, strike: Strike) -> None:
        if strike.kind in FAILURES:
            self.failed.add(strike.victim)
            self.meant.add(strike.victim)
        if strike.kind.area is Area.LIVING:
            self.living[strike.victim] = strike
        if strike.kind is Kind.ALL_SILENT:
            self.failed |= set(HOSTS)
        if strike.kind is Kind.APPROVED:
            self.meant.add(strike.victim)
        if strike.kind is Kind.HA_NODE_DEAD:
            self.went_dark.add(self._struck(strike))

    def _struck(self, strike: Strike) -> str:
        return self._site.ha_node(strike) if strike.target and strike.victim not in HOSTS else strike.victim

    def _for_the_auditor(self, strike: Strike) -> tuple[str, str]:
        sides = FAULTS[strike.kind].sides(self._site, strike)
        return ("partition", sides) if sides else (strike.kind.words, self._struck(strike))

    def _end(self, strike: Strike) -> None:
        del self._ends[strike]
        FAULTS[strike.kind].mend(self._site, strike)
        self._site.record_end(self._recorded.pop(strike))
        self.changed_at = time.monotonic()
        if strike.lasts_s:
            self._story.tell(f"mended: {strike.kind.words}")

    def _miss(self, strike: Strike, why: str) -> None:
        self._story.tell(f"missed: {strike.kind.words} ({strike.victim}), {why}")
        self._summary.missed += 1
