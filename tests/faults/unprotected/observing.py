"""What protects from what observers see, or cannot tell: faults 3 to 5, 14, 21 to 28."""

from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, process, removal

ASSESS = "lib/nova_ha/monitor/assess.py"
GATES = "lib/nova_ha/monitor/gates.py"
VOTES = "lib/nova_ha/probe/votes.py"
LOOK = "lib/nova_ha/recovery/last_look.py"
FINDINGS = "lib/nova_ha/recovery/findings.py"
RECOVERY_GATES = "lib/nova_ha/recovery/gates.py"
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
        24,
        "a leave is remembered for as long as the host fails",
        Edit(GATES, "    left = node.left or node.name in votes.left\n", "    left = node.name in votes.left\n"),
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
        Edit(VOTES, '    if by_id.get("serfHealth", {}).get("Status") != "passing":\n', "    if False:\n"),
        tests=(
            "test_fault_observers.py::test_the_last_words_of_observers_whose_agents_died_are_no_votes",
            "probe/test_probe_votes.py::test_the_last_results_of_an_agent_that_is_not_alive_are_not_read",
        ),
    ),
    removal(
        5,
        "a host that Nova still hears is left to the operator",
        Edit(
            LOOK,
            "    if then is None or now is None or now.service.updated_at != then.service.updated_at:\n",
            "    if False:\n",
        ),
        tests="test_fault_observers.py::test_a_host_that_only_nova_still_hears_is_left_to_the_operator",
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
        "the storm guard of the recovery",
        Edit(RECOVERY_GATES, "    _max_failed,\n", ""),
        STORM_BEFORE_THE_FENCE,
        tests=(
            "test_fault_plans.py::test_hosts_that_were_set_failed_by_hand_are_not_all_fenced_either",
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
            ASSESS,
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
        Edit(GATES, "GateReading.of(Gate.LEFT, not left)", "GateReading.of(Gate.LEFT, True)"),
        tests="test_fault_plans.py::test_a_host_that_is_down_on_purpose_is_not_fenced",
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
