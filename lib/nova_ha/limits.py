"""How long what may take, for whoever acts and for whoever checks beforehand that it can be enough."""

from __future__ import annotations

from dataclasses import dataclass

# The longest time-out of any single call with an effect: Nova's, and a BMC's power-off.
CALL_S = 8.0
# What a call may run over its time-out, and a driver be held up between the check of its lock and the call.
LOCK_MARGIN_S = 2.0
# One reading of a BMC: its power, or its identity.
BMC_READING_S = 5.0
# How long Nova may fail before the incident waits for the operator, or for Nova.
NOVA_PATIENCE_S = 90.0

# At which intervals an observer can sweep, in seconds: what one reports beside that is a mistake, or of old.
SHORTEST_INTERVAL_S = 2
LONGEST_INTERVAL_S = 60
# So long must a host fail before it is set failed: the first retransmission of a lost packet, and a reload, pass.
LEAST_STREAK_S = 6
# A `failed` node is logged in to this often, and in between looked at as far as its banner: our own logins that hang
# fill its MaxStartups, and OpenSSH from 9.8 on shuts whoever let some of them hang out for minutes, also after the
# node is well again.
FULL_LOGIN_EVERY_S = 60
# Of each interval a sweep may take so much; the rest is for Consul, and for a machine that is busy.
SWEEP_SHARE = 0.8
# What is gone of that before the first look begins, on a busy machine, and between the last one and the deadline.
STARTING_S = 0.6
PRINTING_S = 0.1
# What one login may take where the interval leaves it, and the answer to a password: PAM says no after up to 6 s.
LOGIN_S = 2.0
ANSWER_SHARE = 0.7
LONGEST_ANSWER_S = 6.5
# How late a turn may be taken: less than the second that Consul pauses between two runs of a check, so that none is
# taken twice.
LATE_S = 0.8
LATE_SHARE = 0.2


@dataclass(frozen=True)
class SweepLimits:
    """What a sweep may take at an interval, all in seconds: `deadline_s` as a whole, from the start of its process.

    `login_s` is for one login, at most `most_login_s`; `answer_s` instead while the server thinks about a password;
    `late_s` is how late it may begin.
    """

    deadline_s: float
    login_s: float
    most_login_s: float
    answer_s: float
    late_s: float


def sweep_limits(interval_s: float) -> SweepLimits:
    """Return what a sweep may take at this interval."""
    deadline_s = SWEEP_SHARE * interval_s
    most_login_s = deadline_s - STARTING_S - PRINTING_S
    return SweepLimits(
        deadline_s=deadline_s,
        login_s=min(LOGIN_S, most_login_s - STARTING_S / 2),
        most_login_s=most_login_s,
        answer_s=min(ANSWER_SHARE * interval_s, LONGEST_ANSWER_S),
        late_s=min(LATE_SHARE * interval_s, LATE_S),
    )


def streak_problem(interval_s: int, fail_threshold: int) -> str:
    """Return why so many intervals of that length are too short to call a host failed, or an empty text."""
    if interval_s * fail_threshold >= LEAST_STREAK_S:
        return ""
    return (
        f"monitor/fail_threshold {fail_threshold} x an interval of {interval_s} s is "
        f"{interval_s * fail_threshold} s: a host must fail for {LEAST_STREAK_S} s at least"
    )
