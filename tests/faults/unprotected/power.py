"""What protects from a BMC, and from the power of a host: faults 1, 2, 16 to 20, 32."""

from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, process, removal

FENCING = "lib/nova_ha/recovery/fencing.py"
CUTTING = "lib/nova_ha/recovery/cutting.py"
PROOF = "lib/nova_ha/recovery/off_proof.py"
WATCH = "lib/nova_ha/recovery/power_watch.py"
GATES = "lib/nova_ha/recovery/gates.py"
IDENTITY = "lib/nova_ha/power/identity.py"
SILENCE = "lib/nova_ha/recovery/silence.py"

ANSWER = "lib/nova_ha/power/redfish_answer.py"
REDFISH = "lib/nova_ha/power/redfish.py"
POWER_READ_FIRST = """        if self.power().state is PowerState.OFF:
            return PowerOffAnswer.TAKEN
        if not self._system.reset:
"""

UNKNOWN_IS_OFF = Edit(PROOF, "        if look.state is PowerState.UNKNOWN:\n", "        if False:\n")
NOT_CUT_AGAIN = Edit(CUTTING, "            if self._is_on_again(before, seen):\n", "            if False:\n")
ANYTHING_IS_OFF = (
    UNKNOWN_IS_OFF,
    Edit(PROOF, "        if look.state is PowerState.ON:\n", "        if False:\n"),
    NOT_CUT_AGAIN,
)
TWO_READINGS_ARE_ENOUGH = Edit(
    PROOF, "return self.answer is PowerOffAnswer.TAKEN and self.on_before and soon", "return True"
)
IDENTITY_AT_THE_FENCE = Edit(FENCING, "    if another.shut:\n        raise NeedsOperator.by(another)\n", "")
IDENTITY_AT_THE_LOOK = Edit(
    GATES,
    "    return identity_gates.bmc_identity(node, f.identity, f.view.compute_nodes, f.identity_trouble)\n",
    "    return None\n",
)
NO_IDENTITY_AT_THE_FENCE = Edit(FENCING, "        raise NeedsOperator.by(missing)\n", "        return str(missing)\n")
NO_IDENTITY_AT_THE_LOOK = Edit(GATES, "    _no_identity,\n    _approval", "    _approval")
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

NO_LOOK_OVER_A_READING = Edit(
    GATES,
    "    alive = (case.word is not None or f.power.state is PowerState.OFF) and f.sight.alive\n",
    "    alive = False\n",
)

REMOVALS: tuple[Removal, ...] = (
    removal(
        19,
        "what is no text costs its own field alone",
        Edit(
            "lib/nova_ha/power/redfish_answer.py",
            '        return json.loads(body.decode("utf-8-sig", errors="replace"), strict=False)\n',
            "        raise\n",
        ),
        tests="power/test_power_redfish_field.py::test_a_field_that_is_no_text_costs_the_others_nothing",
    ),
    removal(
        19,
        "a password that was refused in words is not sent again",
        Edit(
            "lib/nova_ha/power/redfish_session.py",
            "            if error.trouble in _FINAL:\n",
            "            if False:\n",
        ),
        tests="power/test_power_redfish_field.py::test_a_password_that_is_refused_in_words_is_not_sent_again",
    ),
    removal(
        20,
        "IPMI compares the identity in the login that sends the command",
        Edit("lib/nova_ha/power/ipmi.py", "        self._refuse_another()\n", ""),
        tests=(
            "power/test_power_ipmi_commands.py::test_a_login_that_has_come_to_another_machine_sends_nothing",
            "power/test_power_ipmi_commands.py::test_nor_does_one_whose_identity_cannot_be_read",
        ),
    ),
    removal(
        (19, 32),
        "a host whose power could not be read for a while goes on, and is proved off anew",
        Edit(
            "lib/nova_ha/cluster/gate.py",
            '"power-unknown", _T.ENDS_BY_ITSELF | _T.RECEIPT_ANSWERS',
            '"power-unknown", _T.RECEIPT_ANSWERS',
        ),
        tests="test_fault_bmc.py::test_a_bmc_that_is_away_during_the_evacuation_is_waited_for",
    ),
    removal(
        (19, 32),
        "what may have been on while nobody could read it is proved off anew",
        Edit(FENCING, "Gate.POWER_UNKNOWN in incident.asked and driver.node.bmc", "False"),
        tests="test_fault_bmc.py::test_a_bmc_that_is_away_during_the_evacuation_is_waited_for",
    ),
    removal(
        20,
        "that nobody here can tell is no sign of life",
        Edit("lib/nova_ha/cluster/gate.py", ", (Gate.NOT_SILENT, Cause.CANNOT_TELL)})", "})"),
        tests="test_fault_bmc.py::test_a_fenced_host_of_which_nobody_here_can_tell_is_looked_at_again",
    ),
    removal(
        46,
        "a BMC that shows no identity for a while is waited for",
        Edit("lib/nova_ha/cluster/gate.py", "{(Gate.NO_IDENTITY, Cause.SHOWS_NONE), ", "{"),
        tests="test_fault_identity.py::test_a_bmc_that_shows_no_identity_for_a_while_is_waited_for",
    ),
    removal(
        (24, 57),
        "a host that somebody had disabled is recovered when it fails again",
        Edit(
            "lib/nova_ha/cluster/gate.py",
            '"disabled-by-other", _T.LAST_LOOK | _T.APPROVABLE | _T.ENDS_BY_FAILING',
            '"disabled-by-other", _T.LAST_LOOK | _T.APPROVABLE',
        ),
        tests="test_fault_alive.py::"
        "test_a_host_whose_nova_compute_was_disabled_when_it_failed_is_recovered_when_it_fails_again",
    ),
    removal(
        4,
        "a failed host about which there is no quorum says so",
        Edit("lib/nova_ha/cluster/waits.py", "        Gate.NO_QUORUM,\n", ""),
        tests="test_fault_alive.py::test_a_failed_host_whose_name_resolves_nowhere_says_for_what_it_waits",
    ),
    removal(
        52,
        "an answer of a Redfish BMC is bounded, packed and unpacked",
        Edit(
            ANSWER, "    if length.isdecimal() and int(length[:20]) > MOST_BYTES:\n        raise AnswerTooLong\n", ""
        ),
        Edit(ANSWER, "    if len(body) > MOST_BYTES:\n        raise AnswerTooLong\n", ""),
        tests="power/test_power_redfish_answers.py::test_an_answer_without_end_is_a_trouble_of_its_own",
    ),
    removal(
        56,
        "an account that may only read cannot fence",
        Edit(REDFISH, "Trouble.NO_RIGHT if right is PowerRight.NO else Trouble.NONE", "Trouble.NONE"),
        tests=(
            "test_fault_bmc_ability.py::test_a_bmc_that_could_not_fence_is_said_so_by_the_check",
            "power/test_power_redfish_field.py::test_an_account_that_may_only_read_cannot_fence",
        ),
    ),
    removal(
        56,
        "a BMC without ForceOff cannot be fenced",
        Edit(REDFISH, "not self._system.reset or not self._offers_force_off(where_untold=True)", "False"),
        tests="power/test_power_redfish_field.py::test_a_bmc_without_force_off_cannot_be_fenced",
    ),
    removal(
        56,
        "a session that was left is ended by the next process",
        Edit("lib/nova_ha/power/redfish_session.py", "        self._tickets.opened(self._ticket)\n", ""),
        tests=(
            "power/test_power_redfish_field.py::test_a_session_of_a_process_that_was_ended_is_ended_by_the_next_one",
            "power/test_power_redfish_field.py::"
            "test_a_session_of_a_driver_that_was_killed_is_ended_by_the_next_process",
        ),
    ),
    removal(
        19,
        "a refusal for any other reason than being off is none",
        Edit(REDFISH, "and self._is_off_already():", "and bool(self._system):"),
        tests="power/test_power_redfish_field.py::test_a_refusal_for_any_other_reason_is_none_for_being_off",
    ),
    removal(
        1,
        "a Redfish power-off is sent whatever the power reads",
        Edit(REDFISH, "        if not self._system.reset:\n", POWER_READ_FIRST),
        tests="power/test_power_redfish_field.py::test_the_command_is_sent_whatever_the_power_reads",
    ),
    removal(
        20,
        "where several systems may be the host none is taken",
        Edit("lib/nova_ha/power/redfish_system.py", "len(possible) == 1 and len(shown) == len(systems)", "possible"),
        tests="power/test_power_redfish_field.py::test_where_several_may_be_the_host_none_is_taken",
    ),
    removal(
        20,
        "another machine beside the host's is neither cut nor read for it",
        Edit(
            "lib/nova_ha/power/redfish_system.py", "    if len(hosts) > 1 and known(identity):\n", "    if False:\n"
        ),
        Edit(REDFISH, "identity()) is Match.DIFFERS\n", "identity()) is None\n"),
        tests="power/test_power_redfish_field.py::"
        "test_the_other_machine_is_not_taken_for_the_host_where_that_shows_less_than_it_did",
    ),
    removal(
        52,
        "a BMC's process has a limit of memory",
        Edit("lib/nova_ha/power/worker.py", "    _bound_memory()\n", ""),
        tests="power/test_power_worker.py::test_a_bmc_that_takes_too_much_memory_fails_with_that_and_no_other_does",
    ),
    removal(
        (1, 45),
        "a power-off that is refused because the host is off is an answer",
        Edit(
            CUTTING,
            "            self.command = AnsweredCommand(answer,",
            "            if answer is PowerOffAnswer.OFF_ALREADY:\n                return\n"
            "            self.command = AnsweredCommand(answer,",
        ),
        tests="test_fault_power.py::test_a_bmc_that_takes_no_command_since_the_power_is_off_is_no_hindrance",
    ),
    removal(
        45,
        "an off that the command has not caused is proved at length",
        TWO_READINGS_ARE_ENOUGH,
        tests=(
            "test_fault_power_cycle.py::test_a_command_in_the_off_phase_of_a_power_cycle_proves_nothing",
            "test_fault_power_cycle.py::test_a_host_that_is_off_is_sent_the_command_and_watched_for_as_long_as_the_"
            "policy_says",
            "test_fault_power_cycle.py::test_whoever_resumes_between_command_and_receipt_takes_nothing_for_the_commands_"
            "doing",
        ),
    ),
    removal(
        45,
        "an OFF of an earlier look counts as one",
        Edit(PROOF, "return not self.was_off and self.fresh(now_s)", "return self.fresh(now_s)"),
        tests="test_fault_power_cycle.py::"
        "test_a_host_that_was_off_at_an_earlier_look_is_not_proved_off_by_two_readings",
    ),
    removal(
        45,
        "a reading before the command is of 2 s at most",
        Edit(PROOF, "FRESH_S = 2.0", "FRESH_S = 1e9"),
        tests="test_fault_power_cycle.py::test_a_command_in_the_off_phase_of_a_power_cycle_proves_nothing",
    ),
    removal(
        45,
        "a host that is on again is cut again at once",
        NOT_CUT_AGAIN,
        tests="test_fault_power_cycle.py::test_a_power_cycle_after_the_claim_is_told_in_the_history",
    ),
    removal(
        45,
        "a command is taken only where the same login has read on",
        Edit(
            "lib/nova_ha/power/__init__.py", "return cls.TAKEN if before is PowerState.ON else", "return cls.TAKEN or"
        ),
        tests=(
            "test_fault_power_cycle.py::test_a_power_cycle_that_begins_while_the_command_logs_in_doubles_no_guest",
            "power/test_power_ipmi_commands.py::test_a_command_that_changes_nothing_is_told_from_one_that_is_taken",
        ),
    ),
    removal(
        45,
        "an off long after the command is not its doing",
        Edit(PROOF, "CAUSED_WITHIN_S = 6.0", "CAUSED_WITHIN_S = 1e9"),
        tests="test_fault_power_cycle.py::test_a_bmc_that_obeys_late_and_a_watchdog_that_bites_first_are_told_apart",
    ),
    removal(
        45,
        "a command that was refused for another reason is none",
        Edit(
            CUTTING,
            "            self._refused(what, error)\n",
            "            self.command = AnsweredCommand(PowerOffAnswer.TAKEN, self._clock.monotonic(), on_before)\n",
        ),
        tests="test_fault_power_cycle.py::test_a_bmc_that_restarts_and_reads_off_is_not_believed",
    ),
    removal(
        45,
        "a refusal voids the series before it",
        Edit(CUTTING, "self._clients.power_seen[self.device] = seen.broken()", "seen.broken()"),
        tests="test_fault_power_cycle.py::test_a_refusal_ends_the_series_before_it",
    ),
    removal(
        (11, 45),
        "what a former driver has sent is not known",
        Edit(FENCING, "certain=driver.incident.state is IncidentState.CLAIMED", "certain=True"),
        tests="test_fault_power_cycle.py::"
        "test_whoever_resumes_between_command_and_receipt_takes_nothing_for_the_commands_doing",
    ),
    removal(
        45,
        "the power-off is sent over IPMI whatever it reads",
        Edit(
            "lib/nova_ha/power/ipmi.py",
            "        answer = self._command.raw_command(netfn=_CHASSIS",
            "        if before is PowerState.OFF:\n            return PowerOffAnswer.TAKEN\n"
            "        answer = self._command.raw_command(netfn=_CHASSIS",
        ),
        tests="power/test_power_ipmi_commands.py::test_the_command_is_sent_whatever_the_power_reads",
    ),
    removal(
        2,
        "no receipt after attempts that have all failed",
        Edit(
            FENCING,
            "    raise trouble\n",
            "    return Receipt(ReceiptMethod.BMC, driver.clients.me, driver.clients.clock.now())\n",
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
        "a lost answer is none",
        Edit(
            CUTTING,
            "            self.untaken, self.certain = error, False\n",
            "            self.command = AnsweredCommand(PowerOffAnswer.TAKEN, self._clock.monotonic(), on_before)\n",
        ),
        tests=(
            "test_fault_power.py::test_a_power_off_whose_answer_is_lost_is_sent_again_and_proved_at_length",
            "test_fault_power_cycle.py::test_a_command_whose_answers_are_all_lost_proves_nothing",
        ),
    ),
    removal(
        16,
        "a command that was lost is sent again",
        Edit(
            CUTTING,
            "            self.untaken, self.certain = error, False\n",
            "            self.untaken, self._send = error, lambda what: None\n",
        ),
        tests="test_fault_power.py::test_a_power_off_that_was_lost_on_the_way_is_read_back_and_sent_again",
    ),
    removal(
        17,
        "the power must read off, whatever the BMC said",
        *ANYTHING_IS_OFF,
        tests=(
            "test_fault_power.py::test_a_bmc_that_says_ok_and_leaves_the_power_on_is_never_believed",
            "recovery/test_recovery_whole.py::test_a_bmc_that_says_ok_and_stays_on_never_leads_to_an_evacuation",
        ),
    ),
    removal(
        18,
        "off twice in a row",
        Edit(CUTTING, "self.command, policy.fence_confirmations,", "self.command, 1,"),
        tests=(
            "recovery/test_recovery_whole.py::test_unknown_between_two_off_readings_starts_the_count_again",
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
            CUTTING,
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
        20,
        "a driver stops where the keys of the BMC are others by now",
        Edit("lib/nova_ha/recovery/driver.py", "        if self._has_another_bmc(node):\n", "        if False:\n"),
        tests=(
            "recovery/test_recovery_changed_meanwhile.py::"
            "test_a_bmc_that_an_operator_corrects_between_two_attempts_is_not_cut",
            "recovery/test_recovery_changed_meanwhile.py::"
            "test_servers_are_not_sent_on_the_readings_of_a_bmc_that_an_operator_has_corrected",
        ),
    ),
    removal(
        (17, 20),
        "once off, the host must be silent",
        Edit(FENCING, "        seen = _prove_silence(driver)\n", "        seen = driver.incident.service_seen\n"),
        *REPORTS_COUNT_NOT,
        tests="test_fault_bmc.py::test_a_wrong_word_about_a_bmc_cuts_another_host_and_nothing_more",
    ),
    removal(
        46,
        "without an identity to compare nothing is fenced, at the look and before the command",
        NO_IDENTITY_AT_THE_FENCE,
        NO_IDENTITY_AT_THE_LOOK,
        tests="test_fault_identity.py::test_a_cut_off_host_whose_bmc_may_be_another_machines_is_not_fenced",
    ),
    removal(
        46,
        "without an identity to compare no command is sent",
        NO_IDENTITY_AT_THE_FENCE,
        tests=("test_fault_identity.py::test_a_bmc_that_shows_no_identity_after_the_last_look_is_given_no_command",),
    ),
    removal(
        46,
        "an approval of no-identity ends before the command as well",
        Edit(
            FENCING,
            "    permit = lasting(driver.incident.permits, Gate.NO_IDENTITY, driver.latest_now)\n",
            "    permit = next((p for p in driver.incident.permits if p.gate is Gate.NO_IDENTITY), None)\n",
        ),
        Edit(CUTTING, "        driver.require_permits()\n", ""),
        tests="test_fault_identity.py::"
        "test_an_approval_that_ends_between_the_last_look_and_the_command_lets_nothing_pass",
    ),
    removal(
        46,
        "a placeholder is no identity",
        Edit(
            IDENTITY,
            "    return any(map(_is_filled_in, _both_orders(identity)))\n",
            "    return False\n",
        ),
        Edit(IDENTITY, "    return None if _says_nothing(identity) else serial\n", "    return serial\n"),
        tests="power/test_power_identity.py::test_a_placeholder_is_no_identity_and_equals_nothing",
    ),
    removal(
        46,
        "what is recorded for another node is another node's, whatever an operator's word says",
        Edit(
            "lib/nova_ha/cluster/identity_gates.py",
            "    if match is not Match.EQUAL and (other := _recorded_for(shown, node, nodes)):\n",
            '    if other := "":\n',
        ),
        tests="test_fault_identity.py::"
        "test_a_word_about_a_bmc_that_shows_what_is_recorded_for_another_node_opens_nothing",
    ),
    removal(
        46,
        "off by a BMC without identity carries no operator's word on",
        Edit(
            WATCH,
            "        if self._is_its_own or reading.state is not PowerState.OFF:\n",
            "        if True:\n",
        ),
        tests="test_fault_identity.py::test_a_bmc_without_identity_does_not_carry_a_word_on_that_has_ended",
    ),
    removal(
        (20, 46),
        "identities are compared in both byte orders",
        Edit(IDENTITY, "min(_both_orders(found)).hex()", "found.hex"),
        tests=(
            "test_fault_identity.py::test_an_identity_in_the_other_byte_order_is_the_same_board",
            "test_fault_identity.py::test_one_bmc_under_two_names_takes_both_out_in_either_byte_order",
        ),
    ),
    removal(
        46,
        "nothing is recorded of two BMCs that look swapped",
        Edit("lib/nova_ha/cli/doctor/hosts.py", " and not side.suspect}", "}"),
        tests="cli/test_cli_identity.py::test_doctor_names_two_nodes_whose_bmcs_look_swapped_and_records_neither",
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
        Edit(FENCING, "                refuse_if_it_answers(driver)\n", "                pass\n"),
        tests="recovery/test_recovery_changed_meanwhile.py::"
        "test_a_host_that_answers_again_between_two_attempts_keeps_its_power",
    ),
    removal(
        32,
        "a host that answers again is not fenced",
        Edit(GATES, "    if f.votes.agreed(f.view.quorum) == 0:\n", "    if False:\n"),
        Edit(GATES, "    if f.sight.answer is Answer.ANSWERS:\n", "    if False:\n"),
        Edit(SILENCE, "    return before.updated_at == after.updated_at and _status", "    return _status"),
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
            "if receipt and receipt.method is ReceiptMethod.OPERATOR and not by_itself:",
            "if incident.gate and not incident.gate.ends_by_itself:",
        ),
        tests="test_fault_silence.py::test_setting_recovered_back_lets_no_server_go_while_the_host_lives",
    ),
    process(
        17,
        "the power must read off, whatever the BMC said",
        *ANYTHING_IS_OFF,
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
