"""What ends that an operator lets a gate pass: fault 47."""

from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, removal

COUNTING = "lib/nova_ha/monitor/counting.py"
OPERATOR = "lib/nova_ha/recovery/operator.py"

TWO_DAYS_LATER = "test_fault_permits.py::test_an_approval_of_ten_minutes_opens_nothing_two_days_later"
MEANWHILE = (
    "monitor/test_monitor_counting.py::test_an_approval_that_comes_or_changes_while_its_failure_ends_ends_with_it"
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
            "monitor/test_monitor_counting.py::test_a_failing_node_whose_approval_has_ended_is_held",
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
        Edit("lib/nova_ha/recovery/fencing.py", "    driver.require_permits()\n", ""),
        tests="recovery/test_recovery_permits.py::"
        "test_a_host_that_answers_before_a_later_attempt_is_fenced_only_while_that_is_let_pass",
    ),
    removal(
        47,
        "one that has ended since the last look sends nothing",
        Edit("lib/nova_ha/recovery/fencing.py", "    driver.require_permits()\n", ""),
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
        Edit(COUNTING, "        *([] if number else [_approval_ended(node)]),\n", ""),
        tests=(
            "test_fault_permits.py::test_an_approval_for_one_failure_of_a_switch_opens_nothing_in_the_next",
            "monitor/test_monitor_counting.py::"
            "test_an_approval_ends_in_one_transaction_with_the_failure_that_it_was_given_for",
            MEANWHILE,
        ),
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
            '    return Approval(by, "node retry", until, RETRY_LETS_PASS, kept)\n',
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
