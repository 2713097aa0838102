"""What protects from a BMC, and from the power of a host: faults 1, 2, 16 to 20, 32."""

from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, process, removal

FENCING = "lib/nova_ha/recovery/fencing.py"
WATCH = "lib/nova_ha/recovery/power_watch.py"
GATES = "lib/nova_ha/recovery/gates.py"

UNKNOWN_IS_OFF = Edit(
    FENCING, "if reading.state is PowerState.OFF else []", "if reading.state is not PowerState.ON else []"
)
ANYTHING_IS_OFF = Edit(FENCING, "if reading.state is PowerState.OFF else []", "")
IDENTITY_AT_THE_FENCE = Edit(
    FENCING, "    if compared(expected, found) is not Match.EQUAL:\n", "    if not found and not expected:\n"
)
IDENTITY_AT_THE_LOOK = Edit(
    GATES,
    "    if compared(recorded, shown) is Match.DIFFERS:\n",
    "    if False:\n",
)
POWER_ON_AGAIN = Edit(
    WATCH,
    "        if seen.reading.state is PowerState.ON:\n",
    "        if seen.reading.state is PowerState.ON:\n            return True\n        if False:\n",
)

REPORTS_COUNT_NOT = (
    Edit(
        "lib/nova_ha/recovery/force_down.py",
        "    driver.patiently(lambda: _refuse_if_it_reported(driver, current_service(driver)), look)\n",
        "",
    ),
    Edit("lib/nova_ha/recovery/force_down.py", "        _refuse_if_it_reported(driver, service)\n", ""),
    Edit(
        "lib/nova_ha/recovery/reports.py",
        "        if stamp == self._driver.incident.service_seen:\n",
        "        if True:\n",
    ),
)

NO_LOOK_OVER_A_READING = Edit(GATES, "alive = f.power.state is PowerState.OFF and f.sight.alive\n", "alive = False\n")

REMOVALS: tuple[Removal, ...] = (
    removal(
        52,
        "an answer of a Redfish BMC is bounded, packed and unpacked",
        Edit(
            "lib/nova_ha/power/redfish.py",
            "    SecureHTTPConnection.response_class = BoundedAnswer  # pyghmi makes its connections by itself\n",
            "",
        ),
        tests="power/test_power_redfish_answers.py::test_an_answer_without_end_is_a_trouble_of_its_own",
    ),
    removal(
        52,
        "a BMC's process has a limit of memory",
        Edit("lib/nova_ha/power/worker.py", "    _bound_memory()\n", ""),
        tests="power/test_power_worker.py::test_a_bmc_that_takes_too_much_memory_fails_with_that_and_no_other_does",
    ),
    removal(
        1,
        "a refused power-off is no failure where the power reads off",
        Edit(FENCING, "    if reading.state is PowerState.ON:\n        raise", "    if reading:\n        raise"),
        tests="test_fault_power.py::test_a_bmc_that_takes_no_command_since_the_power_is_off_is_no_hindrance",
    ),
    removal(
        2,
        "no receipt after attempts that have all failed",
        Edit(
            FENCING,
            "    raise trouble\n",
            '    return Receipt("bmc", driver.means.me, driver.means.clock.now())\n',
        ),
        tests="test_fault_power.py::test_a_host_that_lost_its_power_with_its_bmc_waits_for_the_operator_however_long",
    ),
    removal(
        (2, 19),
        "a power that cannot be read is not off",
        UNKNOWN_IS_OFF,
        tests="test_fault_power.py::test_a_bmc_that_is_lost_after_the_command_proves_nothing",
    ),
    removal(
        16,
        "after a lost answer the power is read",
        Edit(
            FENCING,
            "    except OutcomeUnknown as error:\n",
            "    except OutcomeUnknown as error:\n        raise NeedsOperator(Gate.NOT_OFF, str(error)) from error\n",
        ),
        tests=(
            "test_fault_power.py::test_a_power_off_whose_answer_is_lost_is_read_back_and_not_sent_again",
            "recovery/test_recovery_whole.py::test_a_bmc_that_acts_and_loses_its_answer_is_read_not_repeated",
        ),
    ),
    removal(
        16,
        "a command that was lost is sent again",
        Edit(FENCING, "not in (Gate.BMC_UNREACHABLE, Gate.NOT_OFF)", "in tuple(Gate)"),
        tests="test_fault_power.py::test_a_power_off_that_was_lost_on_the_way_is_read_back_and_sent_again",
    ),
    removal(
        17,
        "the power must read off, whatever the BMC said",
        ANYTHING_IS_OFF,
        tests=(
            "test_fault_power.py::test_a_bmc_that_says_ok_and_leaves_the_power_on_is_never_believed",
            "recovery/test_recovery_whole.py::test_a_bmc_that_says_ok_and_stays_on_never_leads_to_an_evacuation",
        ),
    ),
    removal(
        18,
        "off twice in a row",
        Edit(FENCING, "driver.policy.fence_confirmations", "1"),
        tests=(
            "test_fault_bmc.py::test_off_must_be_read_twice_in_a_row_after_the_command",
            "test_fault_bmc.py::test_a_host_that_powers_itself_on_again_between_two_readings_is_not_off",
        ),
    ),
    removal(
        (18, 32),
        "power that is on again stops everything",
        POWER_ON_AGAIN,
        tests=(
            "test_fault_return.py::test_a_host_that_is_powered_on_again_stops_everything_at_once",
            "test_fault_return.py::"
            "test_power_that_came_back_while_nobody_drove_is_found_before_the_next_server_is_asked_for",
        ),
    ),
    removal(
        18,
        "nothing is sent on an old reading of the power",
        Edit(WATCH, "FRESH_S = 3.0", "FRESH_S = 1e9"),
        tests="test_fault_return.py::test_a_host_that_is_powered_on_again_stops_everything_at_once",
    ),
    removal(
        19,
        "a BMC that did not answer is tried again",
        Edit(FENCING, "range(1, policy.fence_attempts + 1)", "range(1, 2)"),
        tests="test_fault_bmc.py::test_a_bmc_that_answers_at_the_second_attempt_is_enough",
    ),
    removal(
        19,
        "a BMC that refuses is named as one that refuses",
        Edit(
            FENCING,
            'raise NeedsOperator(Gate.NOT_OFF, f"it reads on, and',
            'raise NeedsOperator(Gate.BMC_UNREACHABLE, f"',
        ),
        tests="test_fault_bmc.py::test_a_bmc_that_refuses_the_login_is_named_and_stays_named",
    ),
    removal(
        20,
        "the BMC's identity is compared, at the look and before the command",
        IDENTITY_AT_THE_FENCE,
        IDENTITY_AT_THE_LOOK,
        tests="test_fault_bmc.py::test_a_bmc_that_is_another_hosts_is_given_no_command",
    ),
    removal(
        20,
        "the BMC's identity is compared right before the command",
        IDENTITY_AT_THE_FENCE,
        tests="test_fault_bmc.py::test_a_bmc_that_becomes_another_hosts_after_the_last_look_is_given_no_command",
    ),
    removal(
        (17, 20),
        "once off, the host must be silent",
        Edit(FENCING, "        seen = _prove_silence(driver)\n", "        seen = driver.incident.service_seen\n"),
        *REPORTS_COUNT_NOT,
        tests="test_fault_bmc.py::test_a_bmc_whose_identity_was_never_recorded_cuts_another_host_and_nothing_more",
    ),
    removal(
        (17, 32),
        "a report after the force-down stops everything",
        REPORTS_COUNT_NOT[2],
        tests="test_fault_return.py::"
        "test_a_host_whose_nova_compute_reports_again_stops_everything_though_its_bmc_reads_off",
    ),
    removal(
        (20, 30),
        "a report between the fence and the force-down stops everything",
        *REPORTS_COUNT_NOT[:2],
        NO_LOOK_OVER_A_READING,
        tests="recovery/test_recovery_changed_meanwhile.py::"
        "test_a_host_that_reported_while_nova_refused_to_force_it_down_is_not_forced_down",
    ),
    removal(
        20,
        "that nobody can tell is no silence",
        Edit(FENCING, "    if sight.answer is Answer.UNKNOWN:\n", "    if False:\n"),
        tests="recovery/test_recovery_changed_meanwhile.py::"
        "test_where_nobody_can_tell_whether_it_answers_a_host_does_not_count_as_silent",
    ),
    removal(
        32,
        "a host is looked at between two attempts to fence it",
        Edit(FENCING, "                _refuse_if_it_answers(driver)\n", "                pass\n"),
        tests="recovery/test_recovery_changed_meanwhile.py::"
        "test_a_host_that_answers_again_between_two_attempts_keeps_its_power",
    ),
    removal(
        32,
        "a host that answers again is not fenced",
        Edit(GATES, "    if f.votes.agreed(f.view.quorum) == 0:\n", "    if False:\n"),
        Edit(GATES, "    if f.sight.answer is Answer.ANSWERS:\n", "    if False:\n"),
        Edit(GATES, "    return min(needed, max(0.0, needed - reading.silent_for_s))\n", "    return 0.0\n"),
        tests=(
            "test_fault_return.py::test_a_host_that_answers_again_before_the_claim_keeps_its_power",
            "test_fault_return.py::test_a_host_that_answers_again_while_nobody_drives_keeps_its_power",
        ),
    ),
    removal(
        (17, 20),
        "after the fence a connection that is taken is a sign of life",
        Edit(
            "lib/nova_ha/recovery/driver_clients.py",
            "return self.connected or self.answer is",
            "return self.answer is",
        ),
        tests="test_fault_silence.py::"
        "test_a_hung_host_that_takes_connections_after_its_bmc_reads_off_keeps_its_servers",
    ),
    removal(
        (11, 30),
        "reports since the fence count for whoever goes on",
        Edit(
            "lib/nova_ha/recovery/force_down.py",
            "    driver.patiently(lambda: _refuse_if_it_reported(driver, current_service(driver)), look)\n",
            "",
        ),
        NO_LOOK_OVER_A_READING,
        tests="test_fault_silence.py::test_a_host_that_reported_between_fence_and_evacuation_keeps_its_servers",
    ),
    removal(
        32,
        "whoever goes on over a BMC's reading looks whether the host lives",
        NO_LOOK_OVER_A_READING,
        Edit(
            "lib/nova_ha/recovery/claim.py",
            'if receipt and receipt.method == "operator" and not by_itself:',
            "if incident.gate and not incident.gate.ends_by_itself:",
        ),
        tests="test_fault_silence.py::test_setting_recovered_back_lets_no_server_go_while_the_host_lives",
    ),
    process(
        17,
        "the power must read off, whatever the BMC said",
        ANYTHING_IS_OFF,
        tests="whole/test_whole_bmc.py::test_a_bmc_that_says_ok_and_leaves_the_power_on_is_not_believed",
    ),
    process(
        20,
        "the BMC's identity is compared, at the look and before the command",
        IDENTITY_AT_THE_FENCE,
        IDENTITY_AT_THE_LOOK,
        tests="whole/test_whole_bmc.py::test_the_bmc_of_another_machine_is_given_no_command",
    ),
)
