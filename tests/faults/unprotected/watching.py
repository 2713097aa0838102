"""What the witnesses protect from, the look-outs and the hosts' own agents: faults 39, 41, 58, 60, 62."""

from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, removal

WITNESSES = "lib/nova_ha/monitor/witnesses.py"
SILENCE = "lib/nova_ha/recovery/silence.py"
LOOK_OUT = "lib/nova_ha/recovery/look_out.py"
GATES = "lib/nova_ha/recovery/gates.py"
NODE = "lib/nova_ha/cluster/node.py"
MONITOR_GATES = "lib/nova_ha/monitor/gates.py"
TESTS = "test_fault_look_out.py::"
AGENTS = "test_fault_agents.py::"

MEANWHILE = "test_fault_meanwhile.py::"
CUTTING = "lib/nova_ha/recovery/cutting.py"
REMOVALS: tuple[Removal, ...] = (
    removal(
        39,
        "a host that is held is told of, whatever the clock of whoever holds it",
        Edit(
            "lib/nova_ha/monitor/agenda.py",
            "since and 0 <= (seen.now - min(since)).total_seconds() < HELD_FOR_S",
            "since and (seen.now - min(since)).total_seconds() < HELD_FOR_S",
        ),
        tests="monitor/test_monitor_agenda.py::"
        "test_a_host_that_is_held_is_told_of_after_a_minute_whatever_the_clock_of_whoever_holds_it",
    ),
    removal(
        (21, 62),
        "of a host that has waited those that fail now are counted once more",
        Edit(GATES, "f.failing_now if case.incident or case.node.counted_anew else NOBODY", "NOBODY"),
        tests=(
            MEANWHILE + "test_a_failed_host_that_fails_anew_with_many_others_is_held_with_them",
            MEANWHILE + "test_a_host_that_was_set_failed_during_a_pause_is_held_with_the_many_that_fail_at_its_end",
        ),
    ),
    removal(
        39,
        "before a late command Nova is asked whether the host has reported",
        Edit(CUTTING, "    _refuse_if_it_reports(driver)\n", ""),
        tests=MEANWHILE + "test_a_host_whose_nova_compute_reports_again_before_a_late_command_keeps_its_power",
    ),
    removal(
        7,
        "a late command needs a quorum",
        Edit(CUTTING, "    if agreed is None:\n", "    if agreed is None:\n        return\n    if False:\n"),
        tests=MEANWHILE + "test_a_late_command_needs_a_quorum_too",
    ),
    removal(
        37,
        "a pause is looked for right before the command",
        Edit(
            CUTTING,
            "        driver.before_effect(CALL_S)\n        driver.require_permits()\n",
            "        driver.held.require(CALL_S)\n        driver.require_permits()\n",
        ),
        tests=MEANWHILE + "test_a_pause_is_seen_right_before_the_command",
    ),
    removal(
        39,
        "a look-out that sees the host live holds it",
        Edit(WITNESSES, "    if alive := _of(told, Life.ALIVE):\n", "    if alive := _of({}, Life.ALIVE):\n"),
        tests=TESTS + "test_a_healthy_host_whose_sshd_has_died_is_never_set_failed",
    ),
    removal(
        39,
        "a host that reported since its SSH login began to fail is silent only where Nova calls it down",
        Edit(SILENCE, "    run = _run(heard, now, down=has_reported)\n", "    run = _run(heard, now, down=False)\n"),
        tests=TESTS + "test_a_nova_compute_that_was_restarted_beside_a_dead_sshd_is_no_dead_host",
    ),
    removal(
        39,
        "an agent that lives holds a host that takes no connection",
        Edit(MONITOR_GATES, "        agent_alive(view, votes, found),\n", ""),
        tests=AGENTS + "test_a_host_whose_agent_lives_is_not_set_failed_while_no_connection_is_taken",
    ),
    removal(
        39,
        "the last look asks whether the agent lives, whatever the monitor did",
        Edit(GATES, "(_nova_reports, _agent_alive)", "(_nova_reports,)"),
        tests=(
            AGENTS + "test_one_that_was_set_failed_by_hand_waits_and_goes_on_by_itself_once_its_agent_has_gone",
            AGENTS + "test_the_policy_may_ignore_it_for_the_monitor_and_the_last_look_asks_all_the_same",
        ),
    ),
    removal(
        39,
        "whose agent lives is known from the servers",
        Edit("lib/nova_ha/probe/votes.py", "_alive(store), releases)", "frozenset(), releases)"),
        tests=AGENTS + "test_a_host_whose_agent_lives_is_not_set_failed_while_no_connection_is_taken",
    ),
    removal(
        41,
        "an agent proves nothing once a connection is taken",
        Edit(
            "lib/nova_ha/cluster/shared_gates.py",
            "GateReading.of(Gate.AGENT_ALIVE, taken or not alive,",
            "GateReading.of(Gate.AGENT_ALIVE, not alive,",
        ),
        tests=AGENTS + "test_a_host_that_takes_connections_and_hangs_is_recovered_as_fast_with_an_agent_that_lives",
    ),
    removal(
        39,
        "the look-out sees agents go",
        Edit(LOOK_OUT, "            self._wake()\n        self._agents = alive\n", "        self._agents = alive\n"),
        tests=TESTS + "test_a_dead_host_is_set_failed_as_soon_as_its_own_agent_is_known_to_have_gone",
    ),
    removal(
        60,
        "a host that its agent holds is told too",
        Edit(LOOK_OUT, "            held = agent or watched.life in", "            held = watched.life in"),
        tests=TESTS + "test_a_host_that_a_witness_holds_is_the_operators_after_a_minute",
    ),
    removal(
        62,
        "a witness makes no room under the storm limit",
        Edit(
            "lib/nova_ha/probe/failing.py",
            "    return bool(votes.of(node.name).agreed(view.quorum))\n",
            "    from nova_ha.monitor.witnesses import nova_reports\n\n"
            "    return bool(votes.of(node.name).agreed(view.quorum)) and nova_reports(view, node).open\n",
        ),
        tests=(
            TESTS + "test_a_network_that_broke_fences_nobody_while_nova_computes_restart_one_by_one",
            "monitor/test_monitor_assess.py::test_a_witness_that_holds_one_makes_no_room_for_another",
        ),
    ),
    removal(
        39,
        "the last look knows what its HA node's look-out has heard since the host failed",
        Edit(GATES, "self.host in self.findings.reported or Gate", "Gate"),
        tests=(
            TESTS + "test_the_last_look_judges_a_host_that_has_reported_as_the_look_out_of_its_ha_node_does",
            TESTS + "test_a_driver_that_has_seen_it_report_since_it_failed_waits_until_nova_calls_it_down",
        ),
    ),
    removal(
        60,
        "for a host that is held for long the first in rank alone asks Nova",
        Edit(LOOK_OUT, "        self._rests = rests\n", "        self._rests = False\n"),
        tests=TESTS
        + "test_for_a_host_that_is_held_for_long_the_first_in_rank_alone_asks_nova_and_all_hold_it_over_days",
    ),
    removal(
        60,
        "one that rests says no more than that somebody looks",
        Edit(LOOK_OUT, 'replace(one, life=Life.LOOKING, number_fails=0, why="")', "one"),
        tests=TESTS + "test_one_that_rests_does_not_speak_against_the_first_in_rank_once_that_sees_the_host_silent",
    ),
    removal(
        58,
        "one rests only while the first in rank speaks",
        Edit(
            LOOK_OUT, "        return said is not None and said.life is not Life.LOOKING\n", "        return True\n"
        ),
        tests=TESTS + "test_where_the_first_in_rank_dies_the_next_asks_nova_and_nothing_lets_the_host_fail_meanwhile",
    ),
    removal(
        58,
        "a record counts only while a session holds it",
        Edit(NODE, "    if entry is None or not entry.session:\n", "    if entry is None:\n"),
        tests=TESTS + "test_a_record_without_a_session_says_nothing",
    ),
    removal(
        58,
        "a look-out without Nova lets its session go",
        Edit(
            LOOK_OUT,
            "        if self._answered_s < now_s - self._period_s() - ANSWER_LASTS_S:\n",
            "        if False:\n",
        ),
        tests=TESTS + "test_one_that_has_lost_nova_holds_nothing_and_goes_on_with_it",
    ),
    removal(
        58,
        "no HA node speaks about its own host",
        Edit(LOOK_OUT, "        and not (mine and mine.is_on(name, node.nova_host))\n", ""),
        Edit(WITNESSES, " and not ha.is_on(node.name, node.nova_host)\n", "\n"),
        tests=TESTS + "test_no_ha_node_speaks_about_its_own_host",
    ),
    removal(
        60,
        "only the first in rank tells",
        Edit(
            LOOK_OUT,
            "            if first_in_rank(view, votes.alive, node) == clients.me:\n",
            "            if True:\n",
        ),
        tests=TESTS + "test_it_is_told_once_that_a_host_is_held_by_the_first_in_rank_alone",
    ),
)
