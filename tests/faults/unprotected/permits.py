"""What ends that an operator lets a gate pass: fault 47."""

from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, removal

COUNTING = "lib/nova_ha/monitor/writing.py"
OPERATOR = "lib/nova_ha/recovery/operator.py"

TWO_DAYS_LATER = "test_fault_permits.py::test_an_approval_of_ten_minutes_opens_nothing_two_days_later"
LIVED = "test_fault_lived_between.py"
MEANWHILE = (
    "monitor/test_monitor_writing.py::test_an_approval_that_comes_or_changes_while_its_failure_ends_ends_with_it"
)

REMOVALS: tuple[Removal, ...] = (
    removal(
        47,
        "a permit ends, and one without an end has ended",
        Edit(
            "lib/nova_ha/cluster/permit.py",
            "        return self.until is not None and now < self.until\n",
            "        return True\n",
        ),
        tests=(
            TWO_DAYS_LATER,
            "test_fault_permits.py::test_what_has_ended_is_said_where_it_is_looked_for",
            "monitor/test_monitor_writing.py::test_a_failing_node_whose_approval_has_ended_is_held",
            "recovery/test_recovery_permits.py::test_two_days_after_an_approval_of_ten_minutes_nothing_passes_by_it",
            "recovery/test_recovery_permits.py::"
            "test_a_storm_that_was_approved_once_is_judged_anew_when_its_bmc_is_back",
            "recovery/test_recovery_permits.py::test_what_an_older_release_let_pass_has_ended",
            "recovery/test_recovery_permits.py::"
            "test_what_a_retry_takes_over_ends_at_its_own_time_in_the_new_incident",
        ),
    ),
    removal(
        47,
        "inside an incident it ends by whichever clock is ahead",
        Edit(
            "lib/nova_ha/recovery/driver.py",
            "        return self.incident.lets_pass(gate, self.latest_now)\n",
            "        return self.incident.lets_pass(gate, self.clients.clock.now())\n",
        ),
        Edit("lib/nova_ha/recovery/cutting.py", "        driver.require_permits()\n", ""),
        tests="recovery/test_recovery_permits.py::"
        "test_a_host_that_answers_before_a_later_attempt_is_fenced_only_while_that_is_let_pass",
    ),
    removal(
        47,
        "one that has ended since the last look sends nothing",
        Edit("lib/nova_ha/recovery/cutting.py", "        driver.require_permits()\n", ""),
        tests="recovery/test_recovery_permits.py::"
        "test_a_permit_that_ends_between_the_look_and_the_command_sends_nothing",
    ),
    removal(
        47,
        "what was claimed by a permit is judged anew once that has ended",
        Edit(
            "lib/nova_ha/recovery/gates.py",
            "    return any(permit.gate is gate and not permit.lasts(now) for permit in incident.permits)\n",
            "    return False\n",
        ),
        tests="recovery/test_recovery_gates.py::"
        "test_an_orphan_that_was_claimed_by_a_permit_is_judged_anew_once_that_has_ended",
    ),
    removal(
        47,
        "an approval ends with the failure that it was given for",
        Edit(COUNTING, "        *([_approval_ended(node)] if ends else []),\n", ""),
        tests=(
            "test_fault_permits.py::test_an_approval_for_one_failure_of_a_switch_opens_nothing_in_the_next",
            "monitor/test_monitor_writing.py::"
            "test_an_approval_ends_in_one_transaction_with_the_failure_that_it_was_given_for",
            MEANWHILE,
        ),
    ),
    removal(
        47,
        "what an incident has taken ends with a sign of life of its host",
        Edit(
            "lib/nova_ha/cluster/incident.py",
            "        return waiting.seen_alive() if closed.sign_of_life else waiting\n",
            "        return waiting\n",
        ),
        Edit(COUNTING, "        *(_grants_ended(node, opened, at) if ends and opened else []),\n", ""),
        tests=(
            "test_fault_permits.py::"
            "test_what_was_approved_for_hosts_that_were_set_failed_opens_nothing_in_their_next_failure",
            "test_fault_permits.py::test_a_word_that_it_is_off_ends_with_a_sign_of_life",
        ),
    ),
    removal(
        47,
        "what is given while a failed host is well ends with its next failure",
        Edit(COUNTING, " or _begins_anew(node, at)\n", "\n"),
        tests="test_fault_permits.py::test_what_was_approved_while_a_host_is_well_serves_no_failure_that_comes_later",
    ),
    removal(
        47,
        "a host that is well in a maintenance is counted well",
        Edit(
            "lib/nova_ha/monitor/assess.py",
            "        return Count(0) if votes.of(node.name).agreed(view.quorum) == 0 else Keep()\n",
            "        return Keep()\n",
        ),
        tests=(f"{LIVED}::test_a_word_ends_with_a_life_in_a_maintenance",),
    ),
    removal(
        47,
        "a driver ends what was granted where the monitor cannot, since it holds the lock",
        Edit(
            "lib/nova_ha/recovery/driver.py",
            "        return self.incident.seen_alive() if ends else self.incident\n",
            "        return self.incident\n",
        ),
        tests=f"{LIVED}::test_an_approval_ends_with_a_life_that_the_driver_does_not_see",
    ),
    removal(
        37,
        "no host is confirmed off that the observers see well",
        Edit(OPERATOR, "    if votes.agreed(view.quorum) == 0:\n", "    if False:\n"),
        tests=f"{LIVED}::test_a_host_that_the_observers_see_well_is_not_confirmed_off",
    ),
    removal(
        21,
        "an incident of a host that was well in between is judged anew by other incidents",
        Edit(
            "lib/nova_ha/recovery/gates.py",
            "    if case.node.counted_anew or incident.receipt:\n",
            "    if incident.receipt:\n",
        ),
        tests=(
            f"{LIVED}::test_hosts_that_were_approved_once_are_held_when_they_fail_together_again",
            f"{LIVED}::test_a_host_whose_fence_was_broken_off_is_held_when_it_fails_with_others_later",
        ),
    ),
    removal(
        21,
        "hosts that were set failed, and lived, count when they fail anew",
        Edit(
            "lib/nova_ha/probe/failing.py",
            "    counts_by_itself = node.failed and (node.recovered or not node.counted_anew)\n",
            "    counts_by_itself = node.failed\n",
        ),
        tests=f"{LIVED}::test_hosts_that_were_set_failed_and_lived_are_held_when_they_fail_together_again",
    ),
    removal(
        23,
        "a late command is not sent to a host that was well since the last look",
        Edit(
            "lib/nova_ha/recovery/cutting.py",
            "    if max(agreed, counted) < driver.policy.monitor_fail_threshold:\n",
            "    if False:\n",
        ),
        tests=f"{LIVED}::test_a_host_that_was_well_between_two_attempts_is_counted_anew_before_it_is_fenced",
    ),
    removal(
        47,
        "no wait hides a sign of life",
        Edit(
            "lib/nova_ha/recovery/gates.py",
            "    return [*first, *alive, *waits, *questions,",
            "    return [*first, *waits, *alive, *questions,",
        ),
        tests="test_fault_permits.py::test_that_its_bmc_is_waited_for_hides_no_sign_of_life",
    ),
    removal(
        37,
        "a word that it is off is looked at as a BMC's reading is",
        Edit(
            "lib/nova_ha/recovery/gates.py",
            "    alive = (case.word is not None or f.power.state is PowerState.OFF) and f.sight.alive\n",
            "    alive = f.power.state is PowerState.OFF and f.sight.alive\n",
        ),
        tests="recovery/test_recovery_last_look.py::"
        "test_a_humans_word_that_it_is_off_does_not_hide_that_a_kernel_takes_our_connection",
    ),
    removal(
        46,
        "what passes without an identity is the BMC that it was given for",
        Edit(
            "lib/nova_ha/cluster/permit.py",
            "        return self.gate is not Gate.NO_IDENTITY or (bmc is not None and self.bmc == bmc.recorded)\n",
            "        return True\n",
        ),
        tests="test_fault_identity.py::test_an_approval_without_an_identity_is_about_the_bmc_that_it_was_given_for",
    ),
    removal(
        23,
        "what has waited counts from when it is fenced",
        Edit(
            "lib/nova_ha/recovery/claim.py",
            "        incident = replace(incident, started=findings.started())\n",
            "        pass\n",
        ),
        tests=(
            "test_fault_permits.py::test_what_has_waited_for_longer_than_the_window_counts_from_when_it_is_fenced",
            "test_fault_permits.py::test_a_host_that_was_fenced_late_and_fails_soon_again_is_a_repeat",
        ),
    ),
    removal(
        23,
        "a failed host that was well must fail for as long again",
        Edit("lib/nova_ha/recovery/gates.py", "    _fails_briefly,\n", ""),
        Edit("lib/nova_ha/recovery/gates.py", " or _fails_briefly(case):\n", ":\n"),
        tests="recovery/test_recovery_last_look.py::"
        "test_a_host_that_was_well_since_it_was_set_failed_must_fail_for_as_long_again",
    ),
    removal(
        47,
        "a failure ends only together with an approval that was read",
        Edit(
            COUNTING,
            "    return delete_cas(key, index) if index else unchanged(key, 0)\n",
            "    return delete_cas(key, index) if index else unchanged(node.key(FAILED), node.index(FAILED))\n",
        ),
        tests=MEANWHILE,
    ),
    removal(
        47,
        "a host that does not fail gets no approval",
        Edit(
            OPERATOR,
            "    return _as_read(node, NUMBER_FAILS) if node.number_fails else None\n",
            "    return _as_read(node, NUMBER_FAILS)\n",
        ),
        tests=(
            "test_fault_permits.py::test_a_host_that_is_well_is_not_approved_for_its_next_failure",
            "recovery/test_recovery_operator.py::test_a_node_that_does_not_fail_is_not_approved_for_its_next_failure",
            "cli/test_cli_operate.py::test_an_approval_of_a_host_that_is_well_is_refused_with_what_to_do",
        ),
    ),
    removal(
        47,
        "an approval is written only while its failure is there",
        Edit(
            OPERATOR, "(still_registered(node), lock_free(node), there)", "(still_registered(node), lock_free(node))"
        ),
        tests="recovery/test_recovery_operator.py::"
        "test_a_failure_that_ends_while_it_is_approved_takes_no_approval_with_it",
    ),
    removal(
        47,
        "a retry keeps the end of what others approved",
        Edit(
            OPERATOR,
            "    return Approval(by, why, until, RETRY_LETS_PASS, kept, rebuild, _to_rebuild(clock, node))\n",
            "    gates = tuple(dict.fromkeys((*(permit.gate for permit in kept), *RETRY_LETS_PASS)))\n"
            '    return Approval(by, "node retry", until, gates)\n',
        ),
        tests=(
            "recovery/test_recovery_operator.py::test_a_retry_does_not_prolong_what_another_operator_approved",
            "recovery/test_recovery_permits.py::"
            "test_what_a_retry_takes_over_ends_at_its_own_time_in_the_new_incident",
        ),
    ),
)
