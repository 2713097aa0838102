"""What protects from what observers see, or cannot tell: faults 3 to 5, 14, 21 to 28."""

from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, process, removal

ASSESS = "lib/nova_ha/monitor/assess.py"
COUNTING = "lib/nova_ha/monitor/counting.py"
GATES = "lib/nova_ha/monitor/gates.py"
VOTES = "lib/nova_ha/probe/votes.py"
SILENCE = "lib/nova_ha/recovery/silence.py"
FINDINGS = "lib/nova_ha/recovery/findings.py"
RECOVERY_GATES = "lib/nova_ha/recovery/gates.py"
FORCE_DOWN = "lib/nova_ha/recovery/force_down.py"
SHARED_GATES = "lib/nova_ha/cluster/shared_gates.py"
NODE = "lib/nova_ha/cluster/node.py"
STORE = "lib/nova_ha/consul/store.py"
TIMER = "checks/cluster.py"

ONE_IS_ENOUGH = Edit(
    VOTES, "return votes[quorum - 1] if len(votes) >= quorum else None", "return max(votes, default=None)"
)
NO_DATA_IS_FAILING = Edit(
    VOTES,
    '        return None, f"no data ({report.why})", NoVote.NO_DATA\n',
    '        return 9, f"no data ({report.why})", None\n',
)
EVERY_CALL_COUNTS = Edit(
    ASSESS,
    "    number = number_of_fails(view, votes, found, now)\n",
    "    number = min(3, found.number_fails + bool(number_of_fails(view, votes, found, now)))\n",
)
TIMER_COUNTS = Edit(TIMER, "    if summary.counted or summary.flipped:\n", "    if False:\n")
STORM_BEFORE_THE_FENCE = Edit("lib/nova_ha/recovery/fencing.py", "        _refuse_a_storm(driver)\n", "")
UNREADABLE_IS_OPEN = Edit(
    SHARED_GATES, "GateReading.of(Gate.UNREADABLE, not bad,", "GateReading.of(Gate.UNREADABLE, True,"
)

REMOVALS: tuple[Removal, ...] = (
    removal(
        52,
        "each host has a budget of bytes",
        Edit(
            "lib/nova_ha/probe/reach.py",
            "        if self._taken > MOST_RECEIVED or self._sent > MOST_SENT:\n",
            "        if False:\n",
        ),
        tests="probe/test_probe_budgets.py::test_a_host_that_sends_more_than_a_login_needs_is_unknown_in_these_words",
    ),
    removal(
        52,
        "packed packets are not offered",
        Edit("lib/nova_ha/probe/login.py", "            compression_algs=None,\n", ""),
        tests=(
            "probe/test_probe_budgets.py::test_compression_is_not_offered",
            "probe/test_probe_budgets.py::test_one_hostile_host_is_unknown_and_the_others_notice_nothing",
        ),
    ),
    removal(
        41,
        "whose sshd dies in the key exchange fails, unless the offers themselves have nothing in common",
        Edit(
            "lib/nova_ha/probe/login.py",
            "if client.exchanging_keys and nothing_in_common(sock.first_sent, sock.first_received):",
            "if client.exchanging_keys:",
        ),
        tests="probe/test_probe_turned_away.py::test_a_server_that_dies_in_the_key_exchange_fails",
    ),
    removal(
        41,
        "who was sent away for a moment is logged in to again",
        Edit(
            "lib/nova_ha/probe/sighting.py",
            '_G.CANNOT_TELL, "cannot log in: {}", _TAKEN\n',
            '_G.CANNOT_TELL, "cannot log in: {}", _SAID_NO\n',
        ),
        tests="probe/test_probe_turned_away.py::test_who_is_sent_away_in_words_of_the_protocol_asks_again",
    ),
    removal(
        43,
        "others that report again only now are no proof that Nova hears the host",
        Edit(SILENCE, "if s.id not in still and self._is_late(s.host)]", "if False]"),
        tests=(
            "test_fault_reports.py::test_a_host_that_is_back_last_after_an_outage_of_the_bus_keeps_its_power",
            "recovery/test_recovery_silence.py::"
            "test_after_an_outage_of_the_bus_one_that_is_back_last_is_not_called_silent_meanwhile",
        ),
    ),
    removal(
        43,
        "a driver knows what the one before it has read",
        Edit("lib/nova_ha/recovery/findings.py", "    clients.keep(clients.heard, clients.failing_since)\n", ""),
        tests="test_fault_reports.py::test_a_host_that_is_back_last_after_an_outage_of_the_bus_keeps_its_power",
    ),
    removal(
        43,
        "several that Nova called down though their hosts are well count, however long they have been down",
        Edit(SILENCE, "not service.forced_down and service.host in self.well", "False"),
        tests="recovery/test_recovery_silence.py::"
        "test_two_that_are_down_while_it_reported_may_be_so_for_the_reason_that_keeps_its_reports",
    ),
    removal(
        24,
        "a leave is remembered for as long as the host fails",
        Edit(SHARED_GATES, "not (node.left or node.name in members)", "node.name not in members"),
        tests="monitor/test_monitor_leave.py::"
        "test_a_host_that_left_is_not_set_failed_by_an_observer_whose_agent_was_restarted_since",
    ),
    removal(
        36,
        "who sees no node at all has no vote",
        Edit(
            "lib/nova_ha/probe/votes.py",
            '    return report if report.swept else NoData("it sees no compute node registered")\n',
            "    return report\n",
        ),
        tests="probe/test_probe_votes.py::test_an_observer_that_sees_no_node_registered_has_no_vote",
    ),
    removal(
        (3, 4),
        "a quorum of the observers must agree",
        ONE_IS_ENOUGH,
        tests=(
            "test_fault_observers.py::test_a_hung_host_is_failed_by_the_votes_of_a_quorum_and_by_no_less",
            "test_fault_observers.py::test_an_observer_that_lost_its_network_sees_hosts_fail_and_nothing_is_done",
            "monitor/test_monitor_assess.py::test_number_fails_is_the_streak_that_a_quorum_agrees_on",
        ),
    ),
    removal(
        4,
        "a dead agent's last words are no vote",
        Edit(VOTES, 'alive = checks.get(SERF_HEALTH, {}).get("Status") == "passing"\n', "alive = True\n"),
        tests=(
            "test_fault_observers.py::test_the_last_words_of_observers_whose_agents_died_are_no_votes",
            "probe/test_probe_votes.py::test_the_last_results_of_an_agent_that_is_not_alive_are_not_read",
        ),
    ),
    removal(
        5,
        "a host that Nova still hears is left to the operator",
        Edit(SILENCE, "    return before.updated_at == after.updated_at and _status", "    return _status"),
        tests="test_fault_observers.py::test_a_host_that_only_nova_still_hears_is_left_to_the_operator",
    ),
    removal(
        39,
        "a host must be silent for longer than its nova-compute pauses",
        Edit(SILENCE, "    return max(1.2 * cadence_s, cadence_s + 2.0)\n", "    return 9.0\n"),
        tests="test_fault_reports.py::test_a_host_whose_sshd_alone_died_keeps_its_power_in_each_phase_of_its_reports",
    ),
    removal(
        43,
        "others must have been heard",
        Edit(RECOVERY_GATES, "    if (quiet := found.quiet) is None:\n", "    if True:\n"),
        tests=(
            "test_fault_reports.py::test_where_nova_hears_nobody_the_silence_of_one_is_no_evidence",
            "test_fault_reports.py::"
            "test_a_nova_that_really_reports_more_slowly_than_the_policy_says_gets_nobody_fenced",
        ),
    ),
    removal(
        43,
        "of few others all must have been heard",
        Edit(SILENCE, "len(hosts) > (self.number // 5)", "len(hosts) > max(1, self.number // 5)"),
        tests="test_fault_reports.py::test_in_a_cloud_of_three_one_other_that_is_silent_is_enough_to_wait",
    ),
    removal(
        44,
        "Nova's stamps are not subtracted",
        Edit(
            RECOVERY_GATES,
            "GateReading.of(Gate.NOVA_REPORTS, False, missing_s",
            "GateReading.of(Gate.NOVA_REPORTS, (reading.silent_for_s or 0.0) >= 9.0, missing_s",
        ),
        tests="test_fault_reports.py::test_clocks_that_differ_void_no_gate_and_close_none",
    ),
    removal(
        5,
        "a vote is looked up by the host's name, not by its place",
        Edit(VOTES, "    match report.nodes.get(node):\n", "    match next(iter(report.nodes.values()), None):\n"),
        tests="test_fault_observers.py::test_one_hosts_failure_never_lands_in_anothers_place",
    ),
    removal(
        14,
        "votes are read consistently",
        Edit(
            VOTES,
            'store.fetch(f"/v1/health/service/{SERVICE}", consistent=True)',
            'store.fetch(f"/v1/health/service/{SERVICE}")',
        ),
        tests=(
            "test_fault_stale_reads.py::test_old_votes_fail_no_host",
            "test_fault_stale_reads.py::test_what_is_so_now_is_what_is_decided_on",
        ),
    ),
    removal(
        14,
        "keys are read consistently, single and listed",
        Edit(STORE, "consistent=True, params=params, what=what)", "params=params, what=what)"),
        tests=(
            "test_fault_stale_reads.py::test_old_keys_hide_no_maintenance",
            "test_fault_stale_reads.py::test_an_old_key_hides_no_pause",
            "test_fault_stale_reads.py::test_an_old_answer_proves_no_lock",
        ),
    ),
    removal(
        21,
        "the storm guard of the monitor",
        Edit(
            GATES,
            "GateReading.of(Gate.MAX_FAILED, not counted.too_many_with(node),",
            "GateReading.of(Gate.MAX_FAILED, True,",
        ),
        tests=(
            "test_fault_plans.py::test_hosts_that_fall_silent_together_are_not_fenced",
            "monitor/test_monitor_assess.py::test_too_many_nodes_failing_together_hold_each_other",
        ),
    ),
    removal(
        21,
        "hosts that hang hold no host that is silent",
        Edit(
            "lib/nova_ha/cluster/together.py",
            "hanging = {} if node in self.silent else dict",
            "hanging = dict",
        ),
        tests="monitor/test_monitor_assess.py::"
        "test_silent_nodes_hold_all_hanging_ones_each_other_and_those_set_failed_all",
    ),
    removal(
        21,
        "whoever is to be set failed counts against all, however they fail",
        Edit("lib/nova_ha/monitor/look.py", "            counted = counted.and_failed(node)\n", "            pass\n"),
        tests=(
            "monitor/test_monitor_assess.py::"
            "test_one_that_an_operator_lets_fail_though_its_agent_has_left_counts_from_then_on",
        ),
    ),
    removal(
        62,
        "a host that hangs is held by those that are silent too",
        Edit(
            "lib/nova_ha/cluster/together.py",
            '{**dict.fromkeys(self.silent, "is silent"), **hanging',
            '{**({} if node in self.hanging else dict.fromkeys(self.silent, "is silent")), **hanging',
        ),
        tests="cluster/test_cluster_together.py::"
        "test_of_a_network_that_comes_back_no_host_is_let_through_because_it_hangs_by_then",
    ),
    removal(
        62,
        "a host of which the observers do not agree how it fails counts against all",
        Edit("lib/nova_ha/cluster/together.py", "nodes={**either, **counted.nodes}", "nodes=counted.nodes"),
        tests="cluster/test_cluster_together.py::"
        "test_one_of_which_the_observers_do_not_agree_how_it_fails_counts_against_all_and_all_against_it",
    ),
    removal(
        43,
        "others that report seldom are not late for ever",
        Edit(SILENCE, "max(self.needed_s, usual_s)", "self.needed_s"),
        tests="recovery/test_recovery_silence.py::"
        "test_others_that_report_more_seldom_than_the_policy_says_are_not_late_for_ever",
    ),
    removal(
        43,
        "others whose own stamps say that the policy is wrong count as silent",
        Edit(SILENCE, "        if 2 * len(seldom) > len(found):\n", "        if False:\n"),
        tests="recovery/test_recovery_silence.py::"
        "test_where_the_others_report_more_seldom_than_the_policy_says_no_silence_is_one",
    ),
    removal(
        (33, 43),
        "a host's own nova.conf may say that it reports more seldom",
        Edit(NODE, "        return max(by_policy_s, own_s or 0)\n", "        return by_policy_s\n"),
        tests=(
            "test_fault_reports.py::"
            "test_a_host_whose_own_nova_conf_reports_more_seldom_keeps_its_power_in_each_phase",
            "test_fault_look_out.py::test_a_healthy_host_whose_own_nova_conf_reports_more_seldom_is_never_set_failed",
            "recovery/test_recovery_upsets.py::"
            "test_one_whose_own_nova_conf_reports_more_seldom_is_heard_though_its_bmc_lies_and_it_was_approved",
            "recovery/test_recovery_destinations.py::"
            "test_one_whose_own_nova_conf_reports_more_seldom_is_listened_to_for_as_long",
        ),
    ),
    removal(
        43,
        "an interval that the policy would not take takes its node out",
        Edit(NODE, "not 1 <= found <= LONGEST_REPORT_INTERVAL_S", "False"),
        tests=(
            "cluster/test_cluster_nodes.py::test_an_interval_of_its_own_that_is_none_is_a_problem_that_names_it",
            "checks/test_checks_runtime.py::"
            "test_an_interval_that_the_policy_would_not_take_is_named_and_takes_the_node_out",
        ),
    ),
    removal(
        (34, 58),
        "an HA node's own host is known in any case, and with and without its domain",
        Edit(NODE, "(mine == name or is_own_name(mine, name))", "mine == name"),
        tests=(
            "recovery/test_recovery_gates.py::test_its_own_host_is_known_in_any_case_and_with_and_without_its_domain",
            "test_fault_look_out.py::test_no_ha_node_speaks_about_its_own_host",
        ),
    ),
    removal(
        61,
        "hosts that fail are not asked whether Nova hears anybody",
        Edit(SILENCE, "            and service.host not in self.failing\n", ""),
        tests="test_fault_plans.py::test_a_rack_that_is_dead_is_recovered_once_you_say_so",
    ),
    removal(
        21,
        "the storm guard of the recovery",
        Edit(RECOVERY_GATES, "    _max_failed,\n", ""),
        STORM_BEFORE_THE_FENCE,
        tests=(
            "test_fault_plans.py::test_hosts_that_were_set_failed_by_hand_are_held_together",
            "recovery/test_recovery_whole.py::test_more_hosts_than_the_storm_limit_ask_the_operator",
        ),
    ),
    removal(
        21,
        "the storm limit is looked at once more before the first command",
        STORM_BEFORE_THE_FENCE,
        tests="recovery/test_recovery_changed_meanwhile.py::"
        "test_an_incident_that_came_and_went_between_the_look_and_the_claim_counts_for_the_storm_limit",
    ),
    removal(
        22,
        "no data is not a failure",
        NO_DATA_IS_FAILING,
        tests=("test_fault_observers.py::test_checks_that_are_all_broken_count_nothing",),
    ),
    removal(
        22,
        "who does not vote stays in the electorate",
        Edit(
            VOTES,
            "return votes[quorum - 1] if len(votes) >= quorum else None",
            "return votes[min(quorum, len(votes)) - 1] if votes else None",
        ),
        tests="test_fault_observers.py::test_a_broken_deployment_does_not_turn_one_observers_words_into_a_quorum",
    ),
    removal(
        22,
        "a usage error and a crash of a check exit with 1",
        Edit("checks/check_guard.py", "CANNOT_TELL = 1", "CANNOT_TELL = 2"),
        tests=("checks/test_checks_guard.py::test_a_usage_error_is_one_line_and_not_critical",),
    ),
    removal(
        (23, 26),
        "failed intervals must be in a row, and are not counted by calls",
        EVERY_CALL_COUNTS,
        tests=(
            "test_fault_observers.py::test_a_flapping_host_is_failed_only_by_three_intervals_in_a_row",
            "test_fault_watches.py::test_a_hundred_calls_of_an_interval_are_one_failed_interval",
            "test_fault_watches.py::test_calls_that_are_lost_doubled_late_or_at_once_end_in_the_same_counts",
        ),
    ),
    removal(
        23,
        "a second incident within the window waits for approval",
        Edit(RECOVERY_GATES, '    if before and view.policy.fence_repeat == "approve":\n', "    if False:\n"),
        tests=(
            "test_fault_observers.py::test_a_host_that_fails_again_after_it_was_taken_back_is_not_fenced_again",
            "recovery/test_recovery_whole.py::test_a_second_incident_of_a_node_within_the_window_waits_for_approval",
        ),
    ),
    removal(
        24,
        "a maintenance is not counted, and waited for",
        Edit(
            COUNTING,
            "    if agreed is None or planned is None or node.lets_pass(Gate.MAINTENANCE, now):\n",
            "    if True:\n",
        ),
        Edit(
            NODE,
            "        return self.maintenance is not None and now < self.maintenance.until\n",
            "        return False\n",
        ),
        tests=(
            "test_fault_plans.py::test_a_host_that_is_down_on_purpose_is_not_fenced",
            "test_fault_plans.py::test_a_host_in_maintenance_that_was_set_failed_by_hand_is_waited_for",
        ),
    ),
    removal(
        24,
        "an agent that has left has not failed",
        Edit(SHARED_GATES, "not (node.left or node.name in members)", "True"),
        tests="test_fault_plans.py::test_a_host_that_is_down_on_purpose_is_not_fenced",
    ),
    removal(
        24,
        "whether it has left is asked again before its power is cut",
        Edit(RECOVERY_GATES, "    _left,\n", ""),
        tests="test_fault_plans.py::"
        "test_an_incident_that_waits_does_not_go_on_where_its_host_is_shut_down_on_purpose_by_then",
    ),
    removal(
        24,
        "a nova-compute that somebody else disabled is left to the operator",
        Edit(
            RECOVERY_GATES,
            "theirs = touched and not service.disabled_reason.startswith(OUR_REASON)\n",
            "theirs = False\n",
        ),
        tests="test_fault_plans.py::test_a_host_that_is_down_on_purpose_is_not_fenced",
    ),
    removal(
        24,
        "a nova-compute that Nova disabled by itself was disabled by nobody",
        Edit(RECOVERY_GATES, "(service.enabled or service.disabled_by_nova)", "service.enabled"),
        tests="test_fault_plans.py::test_a_host_that_nova_disabled_by_itself_is_recovered_and_then_disabled_by_us",
    ),
    removal(
        24,
        "Nova's own reason gives way to ours, so that nothing but `node reset` enables a fenced host",
        Edit(FORCE_DOWN, "service.enabled or service.disabled_by_nova or", "service.enabled or"),
        tests="test_fault_plans.py::test_a_host_that_nova_disabled_by_itself_is_recovered_and_then_disabled_by_us",
    ),
    removal(
        25,
        "the clock that is behind ends a maintenance and the window",
        Edit(
            FINDINGS,
            "        return min([self.now, *(reading.read_at for reading in self.services or ())])\n",
            "        return self.now\n",
        ),
        tests=(
            "test_fault_operator.py::test_a_clock_ahead_neither_ends_a_maintenance_nor_forgets_an_earlier_incident",
            "recovery/test_recovery_last_look.py::test_a_clock_that_jumped_ahead_ends_no_maintenance",
        ),
    ),
    removal(
        25,
        "a lock is proved by the monotonic clock",
        Edit(
            "lib/nova_ha/consul/lock.py",
            "return self._clock.monotonic() - self._proven_at",
            "return self._clock.now().timestamp() - self._proven_at",
        ),
        tests="test_fault_operator.py::test_a_drivers_clock_that_jumps_changes_nothing_about_the_recovery",
    ),
    removal(
        26,
        "an empty list of checks is no report",
        NO_DATA_IS_FAILING,
        tests="test_fault_watches.py::test_an_empty_list_of_checks_is_not_all_down",
    ),
    removal(
        27,
        "the timer counts",
        TIMER_COUNTS,
        tests=(
            "test_fault_watches.py::test_a_host_that_no_watch_tells_of_is_counted_and_recovered_by_the_timer",
            "checks/test_checks_cluster.py::"
            "test_a_node_at_the_threshold_is_flipped_without_any_watch_and_its_recovery_is_started",
        ),
    ),
    removal(
        27,
        "the timer starts what is due",
        Edit(TIMER, "    if any(item.start for item in items):\n", "    if False:\n"),
        tests="test_fault_watches.py::test_an_orphan_that_no_watch_tells_of_is_found_by_the_timer",
    ),
    removal(
        28,
        "a host with a key that cannot be read is left alone",
        UNREADABLE_IS_OPEN,
        Edit("lib/nova_ha/cluster/duty.py", "    if _problem(view, node.name):\n", "    if False:\n"),
        tests="test_fault_operator.py::test_a_broken_key_takes_its_host_out_loudly_and_the_others_go_on",
    ),
    removal(
        28,
        "a flag that breaks under a driver stops it",
        Edit("lib/nova_ha/recovery/driver.py", "p.key == self.node.key(FAILED)", "not p.key"),
        Edit(
            "lib/nova_ha/recovery/driver.py",
            "        if not node.failed:\n            raise",
            "        if False:\n            raise",
        ),
        tests="test_fault_operator.py::test_a_host_whose_key_breaks_in_the_middle_of_its_recovery_stops_there",
    ),
    process(
        3,
        "a quorum of the observers must agree",
        ONE_IS_ENOUGH,
        tests="test_faults_networks.py::"
        "test_only_what_a_quorum_sees_counts_and_a_host_whose_nova_compute_reports_is_not_fenced",
    ),
    process(
        22,
        "no data is not a failure",
        NO_DATA_IS_FAILING,
        tests="test_broken_checks.py::test_checks_that_all_agents_cannot_run_fail_no_host",
    ),
    process(
        27,
        "the timer counts",
        TIMER_COUNTS,
        tests="whole/test_whole_timer.py::test_without_any_watch_the_timer_alone_recovers_a_host",
    ),
)
