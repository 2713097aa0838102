"""What protects from a host that is neither well nor silent: faults 20, 40 to 42, 57."""

from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, removal

SIGHTING = "lib/nova_ha/probe/sighting.py"
SWEEP = "lib/nova_ha/probe/ssh_sweep.py"
VOTES = "lib/nova_ha/probe/votes.py"
CHECK = "checks/ssh.py"
GATES = "lib/nova_ha/recovery/gates.py"
FENCING = "lib/nova_ha/recovery/fencing.py"
DUTY = "lib/nova_ha/cluster/duty.py"
ASSESS = "lib/nova_ha/monitor/assess.py"
CLAIM = "lib/nova_ha/recovery/claim.py"
STREAK = "lib/nova_ha/probe/streak.py"
ALIVE = "test_fault_alive.py::"
FAILED_NODES = "checks/test_checks_failed_nodes.py::"

REMOVALS: tuple[Removal, ...] = (
    removal(
        40,
        "whoever answers no has voted that it answers",
        Edit(VOTES, "report.causes[node].grade is Grade.ANSWERS_NO:", "False:"),
        tests=ALIVE + "test_a_host_that_says_no_and_was_set_failed_by_hand_waits_and_an_approval_recovers_it",
    ),
    removal(
        40,
        "a host that answers no does not fail",
        Edit(
            SIGHTING,
            "        return State.FAILING if self in (Grade.HANGS, Grade.SILENT) else State.UNKNOWN\n",
            "        return State.FAILING\n",
        ),
        tests=ALIVE + "test_a_host_whose_sshd_says_no_is_not_set_failed",
    ),
    removal(
        41,
        "a host that hangs after its banner is not alive",
        Edit(
            SIGHTING,
            "        return self in (Grade.LOGGED_IN, Grade.ANSWERS_NO)\n",
            "        return self in (Grade.LOGGED_IN, Grade.ANSWERS_NO, Grade.HANGS)\n",
        ),
        tests=ALIVE + "test_a_host_that_hangs_wherever_it_hangs_is_recovered",
    ),
    removal(
        42,
        "turned away after a hang is the same hang, for the sweep",
        Edit(CHECK, "{**standing(inputs), **hanging(inputs)}", "standing(inputs)"),
        tests="checks/test_checks_verdicts.py::test_a_node_that_turns_us_away_after_a_hang_hangs_still",
    ),
    removal(
        42,
        "a failed host is logged in to once a minute",
        Edit(CHECK, " if not _turn(name, now, FULL_LOGIN_EVERY_S, interval_s)}", " if False}"),
        tests=FAILED_NODES + "test_it_is_logged_in_to_once_a_minute_whatever_it_shows",
    ),
    removal(
        42,
        "a failed host that took no connection is logged in to at once when it does",
        Edit(
            CHECK,
            "        elif isinstance(last, Failing) and cause is not None and Sign.CONNECTED not in cause.signs:\n",
            "        elif isinstance(last, Failing) and cause is None:\n",
        ),
        tests=FAILED_NODES + "test_one_that_took_no_connection_is_logged_in_to_at_once_when_it_takes_one",
    ),
    removal(
        42,
        "a banner ends no streak of a failed host",
        Edit(STREAK, "            nodes.update(_standing(previous, name, begins=before is None))\n", ""),
        tests=FAILED_NODES + "test_a_banner_ends_no_streak_and_a_full_login_does",
    ),
    removal(
        57,
        "a banner lengthens no streak of a failed host",
        Edit(STREAK, "        if name in stood:\n", "        if False:\n"),
        tests=FAILED_NODES + "test_a_banner_lengthens_no_streak_and_full_logins_that_hang_do",
    ),
    removal(
        57,
        "the streak of a failed host lasts from one full login to the next",
        Edit(STREAK, "3 * interval_s + (2 * FULL_LOGIN_EVERY_S if name in failed else 0)", "3 * interval_s"),
        tests=FAILED_NODES + "test_a_banner_lengthens_no_streak_and_full_logins_that_hang_do",
    ),
    removal(
        42,
        "turned away after a hang is the same hang, for the last look",
        Edit(
            GATES,
            "    if sight.cause is SightCause.TURNED_AWAY and f.votes.grade(f.view.quorum) is Grade.HANGS:\n",
            "    if False:\n",
        ),
        tests=ALIVE + "test_a_hung_host_that_turns_us_away_at_the_last_look_is_recovered",
    ),
    removal(
        42,
        "an approval lets pass what nobody can tell",
        Edit(
            GATES,
            "    return _approved(case, GateReading.of(Gate.ANSWERS, False, Cause.CANNOT_TELL,",
            "    return (GateReading.of(Gate.ANSWERS, False, Cause.CANNOT_TELL,",
        ),
        tests=ALIVE + "test_an_approval_of_answers_lets_pass_what_nobody_can_tell",
    ),
    removal(
        57,
        "what waits because it answered goes on once the host fails anew",
        Edit(DUTY, "    if fails_anew(view, node):\n", "    if False:\n"),
        tests=ALIVE + "test_a_host_that_answered_for_a_moment_and_dies_later_is_recovered_by_itself",
    ),
    removal(
        57,
        "it goes on only where the observers have seen it well",
        Edit(DUTY, "node.index(NUMBER_FAILS) > opened.index", "True"),
        tests=ALIVE + "test_a_host_that_the_observers_never_saw_well_again_waits_for_the_operator",
    ),
    removal(
        57,
        "each time they must have seen it well again",
        Edit(
            CLAIM,
            "    news = clocks or refuted or fails_anew(findings.view, node)\n",
            "    news = clocks or refuted\n",
        ),
        tests=ALIVE + "test_each_time_the_observers_must_have_seen_it_well_before",
    ),
    removal(
        57,
        "a maintenance is no time in which it was seen well",
        Edit(
            ASSESS,
            "        return Count(0) if votes.of(node.name).agreed(view.quorum) == 0 else Keep()\n",
            "        return Count(0)\n",
        ),
        tests="monitor/test_monitor_assess.py::test_a_failed_node_in_a_maintenance_was_not_seen_well",
    ),
    removal(
        57,
        "whoever waits at nova-reports waits until Nova calls its nova-compute down",
        Edit(GATES, " or Gate.NOVA_REPORTS in asked\n", "\n"),
        tests=ALIVE + "test_a_nova_compute_that_is_restarted_while_its_host_is_held_is_no_silence",
    ),
    removal(
        20,
        "a port that refuses after the power was cut is not silent",
        Edit(FENCING, "    if sight.cause is SightCause.REFUSED and not", "    if sight is None and not"),
        tests=ALIVE + "test_a_port_that_refuses_after_the_power_was_cut_waits_for_an_approval",
    ),
)
