"""What keeps drivers apart, and what lets one go on for another: faults 6 to 13, 15, 34 to 38."""

from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, process, removal

CLAIM = "lib/nova_ha/recovery/claim.py"
DRIVER = "lib/nova_ha/recovery/driver.py"
LOCK = "lib/nova_ha/consul/lock.py"
RECOVER = "lib/nova_ha/recovery/recover.py"
DUTY = "lib/nova_ha/cluster/duty.py"
EVACUATION = "lib/nova_ha/recovery/evacuation.py"

MIX = "recovery/test_recovery_mix.py::TestRecoveryUnderFaults::runTest"

NO_PROOF = Edit(DRIVER, "        self.held.require(call_timeout_s)\n", "")
NO_PROOF_OF_A_BATCH = Edit(EVACUATION, "                self.driver.held.require(limit_s)\n", "")
NO_LOCK_IN_WRITES = Edit(
    LOCK, "self._store.commit([held(self.key, self.session.id), *operations])", "self._store.commit([*operations])"
)
ORPHANS_STAY = Edit(
    DUTY,
    'frozenset({Stage.OPEN}), False, Duty.RESUME, "{state}, and {driver} has gone: to be resumed")',
    'frozenset({Stage.OPEN}), False, Duty.WORKED_ON, "{state}, and {driver} has gone: to be resumed")',
)
# Whoever writes plainly overwrites whoever was first.
CLAIM_BY_PLAIN_WRITES = Edit(
    CLAIM,
    "    outcome = clients.store.commit(operations)\n",
    "    plain = {'cas': lambda o: put(o.key, o.value or b''), 'set': lambda o: o}\n"
    "    outcome = clients.store.commit([plain[o.verb](o) for o in operations if o.verb in plain])\n",
)

REMOVALS: tuple[Removal, ...] = (
    removal(
        10,
        "nothing is sent over a connection that was made after the deadline",
        Edit(
            "lib/nova_ha/compute/transport.py",
            "        if call is not None and call.left_s() <= 0:\n",
            "        if False:\n",
        ),
        tests="compute/test_compute_transport.py::"
        "test_a_name_that_is_found_only_after_the_deadline_is_not_sent_anything",
    ),
    removal(
        11,
        "a driver that waits for a BMC hears that it is to end",
        Edit("lib/nova_ha/recovery/power_watch.py", "            self.driver.stop_if_asked()\n", ""),
        tests="test_fault_drivers.py::test_a_driver_that_waits_for_a_bmc_ends_within_a_second",
    ),
    removal(
        (8, 11),
        "a driver that waits for Consul hears that it is to end",
        Edit(
            DRIVER,
            "if self.clients.stopping() or self.clients.clock.monotonic() > until:",
            "if self.clients.clock.monotonic() > until:",
        ),
        tests="test_fault_drivers.py::test_a_driver_that_waits_for_consul_ends_within_a_second",
    ),
    removal(
        53,
        "the state is read again before each host",
        Edit(
            RECOVER,
            "            view = read_view(clients.store)\n        except ConsulError as error:\n",
            "            pass\n        except ConsulError as error:\n",
        ),
        tests="recovery/test_recovery_queue.py::"
        "test_a_host_that_fails_among_twenty_whose_bmcs_are_away_is_looked_at_next",
    ),
    removal(
        53,
        "a host whose BMC is away gives way to one that can be claimed",
        Edit(RECOVER, "            return GaveWay.BMC_AWAY\n", "            pass\n"),
        tests="recovery/test_recovery_queue.py::test_of_hosts_that_fail_together_the_one_whose_bmc_answers_is_first",
    ),
    removal(
        (6, 10, 13),
        "each effect is proved to be under the lock, and wanted still",
        Edit(DRIVER, "        self._still_wanted()\n        self.held.require(call_timeout_s)\n", ""),
        NO_PROOF_OF_A_BATCH,
        tests=(
            "test_fault_consul.py::test_a_driver_that_falls_into_the_minority_stops_and_the_majority_goes_on",
            "test_fault_drivers.py::test_a_driver_that_stood_still_sends_nothing_once_another_has_taken_over",
            "test_fault_drivers.py::test_a_session_that_a_flap_of_its_agent_ended_stops_the_driver_at_its_next_step",
        ),
    ),
    removal(
        (7, 12),
        "a claim is one transaction of locks and compared indexes",
        CLAIM_BY_PLAIN_WRITES,
        NO_LOCK_IN_WRITES,
        NO_PROOF,
        NO_PROOF_OF_A_BATCH,
        tests="test_fault_drivers.py::test_of_two_drivers_that_found_the_same_only_one_gets_the_host",
    ),
    removal(
        (8, 9),
        "a driver bears with a Consul that is away for a while",
        Edit(DRIVER, "CONSUL_PATIENCE_S = 60.0", "CONSUL_PATIENCE_S = -1.0"),
        tests="test_fault_consul.py::test_a_driver_whose_session_survives_a_change_of_the_leader_goes_on",
    ),
    removal(
        8,
        "without Consul a check exits with 1",
        Edit("checks/check_guard.py", "CANNOT_TELL = 1", "CANNOT_TELL = 2"),
        tests="test_fault_consul.py::test_without_consul_a_check_cannot_tell_and_never_says_critical",
    ),
    removal(
        8,
        "an incident whose driver gave up is gone on with",
        ORPHANS_STAY,
        tests="test_fault_consul.py::test_an_incident_goes_on_after_consul_was_away_beyond_every_session",
    ),
    removal(
        10,
        "each effect is proved to be under the lock",
        NO_PROOF,
        NO_PROOF_OF_A_BATCH,
        tests=(
            "test_fault_drivers.py::test_a_driver_that_stood_still_sends_nothing_once_another_has_taken_over",
            "test_fault_drivers.py::test_a_driver_that_stood_still_sends_nothing_though_nobody_has_taken_over_yet",
        ),
    ),
    removal(
        (11, 34),
        "an orphan is resumed",
        ORPHANS_STAY,
        tests=(
            "test_fault_drivers.py::test_a_driver_whose_host_died_is_followed_by_another_one",
            "recovery/test_recovery_whole.py::test_a_driver_killed_at_any_moment_is_resumed_by_another_ha_node",
        ),
    ),
    removal(
        11,
        "a server whose migration is open is followed, not asked for again",
        Edit(
            EVACUATION,
            "            if under_way and not self.destinations.fenced(record.destination):\n",
            "            if False:\n",
        ),
        Edit(
            EVACUATION,
            "            self.driver.save(incident)\n        if batch:",
            "            self.driver.incident = incident\n        if batch:",
        ),
        tests="recovery/test_recovery_whole.py::test_a_driver_killed_at_any_moment_is_resumed_by_another_ha_node",
    ),
    removal(
        13,
        "each write and each effect is under the lock",
        NO_LOCK_IN_WRITES,
        NO_PROOF,
        NO_PROOF_OF_A_BATCH,
        tests="test_fault_drivers.py::"
        "test_a_session_that_a_flap_of_its_agent_ended_stops_the_driver_at_its_next_step",
    ),
    removal(
        (13, 34),
        "the lock delay is waited out",
        Edit(RECOVER, "        if refused.closed.gate is Gate.LOCK_DELAY:\n", "        if False:\n"),
        tests="test_fault_drivers.py::"
        "test_a_session_that_a_flap_of_its_agent_ended_stops_the_driver_at_its_next_step",
    ),
    removal(
        15,
        "a claim depends on what was read",
        Edit(CLAIM, "        unchanged(node.key(MAINTENANCE), node.index(MAINTENANCE)),\n", ""),
        tests=(
            "test_fault_consul.py::test_what_an_operator_decided_between_the_look_and_the_claim_counts",
            "recovery/test_recovery_whole.py::"
            "test_what_the_operator_sets_between_the_last_look_and_the_claim_is_respected",
        ),
    ),
    removal(
        15,
        "a claim takes the approval as it was read",
        Edit(
            CLAIM,
            "    return delete_cas(key, index) if index else unchanged(key, 0)\n",
            "    return delete_cas(key, index) if index else unchanged(node.key(RECOVERED), node.index(RECOVERED))\n",
        ),
        tests="recovery/test_recovery_changed_meanwhile.py::"
        "test_an_approval_given_between_the_look_and_the_claim_serves_this_incident_and_no_later_one",
    ),
    removal(
        37,
        "what had passed by a word that expired is looked at anew",
        Edit(
            "lib/nova_ha/recovery/fencing.py",
            '        raise Halted(f"{driver.node.name}: {words} since the last look")\n',
            "        return\n",
        ),
        tests="recovery/test_recovery_changed_meanwhile.py::"
        "test_a_word_that_expires_between_the_look_and_the_fence_lets_nothing_pass_that_it_had",
    ),
    removal(
        15,
        "a claim that lost a race is looked at again",
        Edit(RECOVER, "        return refused.stale and self.stale_tries > 0\n", "        return False\n"),
        tests="test_fault_consul.py::test_a_claim_that_lost_a_race_is_looked_at_and_tried_again",
    ),
    removal(
        15,
        "an incident is written only over the one that was read",
        Edit(
            DRIVER,
            "        write = cas(open_incident(incident.node), incident.to_kv(), self.index)\n",
            "        now = self._store.get(open_incident(incident.node))\n"
            "        write = cas(open_incident(incident.node), incident.to_kv(), now.index if now else 0)\n",
        ),
        tests="test_fault_consul.py::test_an_incident_that_somebody_wrote_meanwhile_is_not_overwritten",
    ),
    removal(
        34,
        "a name that two nodes share takes both out",
        Edit("lib/nova_ha/cluster/view.py", "if same and len(holders) > 1 else ()", "if False else ()"),
        Edit(
            "lib/nova_ha/recovery/gates.py",
            "    return _own_host_read(case) if len(case.findings.view.ha_nodes) > 1 else None\n",
            "    return None\n",
        ),
        tests="test_fault_drivers.py::test_an_ha_node_that_fails_itself_is_not_fenced_by_its_own_handler",
    ),
    removal(
        35,
        "a log that cannot be opened is none",
        Edit(
            "lib/nova_ha/log.py",
            "    except OSError:\n        pass\n",
            "    except ZeroDivisionError:\n        pass\n",
        ),
        tests="test_fault_surroundings.py::test_a_recovery_works_without_room_for_its_log",
    ),
    removal(
        35,
        "without a lock file all go on at once",
        Edit(
            "handlers/turn.py",
            "            yield True\n            return\n        if not",
            "            raise\n        if not",
        ),
        tests="test_fault_surroundings.py::test_a_handler_has_its_turn_without_room_for_lock_files",
    ),
    removal(
        35,
        "a closed stream is given /dev/null, and nobody listening is no error",
        Edit(
            "handlers/handler_guard.py",
            "    with contextlib.suppress(OSError, ValueError):\n",
            "    with contextlib.nullcontext():\n",
        ),
        tests=(
            "test_fault_surroundings.py::test_a_handlers_exit_code_is_right_whatever_its_streams_are",
            "handlers/test_failures_guard.py::test_the_exit_code_is_right_whatever_the_standard_streams_are",
        ),
    ),
    removal(
        36,
        "a policy that must not be read is not the defaults",
        Edit("lib/nova_ha/consul/store.py", "        self.get(folder)\n", ""),
        tests=(
            "test_fault_tokens.py::test_a_policy_that_the_token_must_not_read_is_not_taken_for_the_defaults",
            "test_fault_tokens.py::test_nor_by_the_last_look_nor_by_an_observer",
        ),
    ),
    removal(
        36,
        "a write that is denied is no lost race",
        Edit("lib/nova_ha/consul/store.py", "raise forbidden(f\"writing {', '.join(denied)}\")", "pass"),
        tests="test_fault_stale_reads.py::test_a_write_that_a_token_has_no_right_to_is_no_lost_race",
    ),
    removal(
        36,
        "a refused token is named, and how to mend it",
        Edit(
            "lib/nova_ha/consul/trouble.py",
            '    if isinstance(error, consul.ACLPermissionDenied) or "ermission denied" in text:\n',
            "    if False:\n",
        ),
        Edit("lib/nova_ha/consul/trouble.py", '    if "ACL not found" in text:\n', "    if False:\n"),
        tests="test_fault_stale_reads.py::test_a_handler_whose_token_is_refused_says_so_exits_1_and_does_nothing",
    ),
    removal(
        37,
        "a pause is read before each effect",
        Edit(
            DRIVER,
            "        if pause := self._ask_consul(lambda: self._store.get(PAUSED)):\n",
            "        if pause := None:\n",
        ),
        tests=(
            "test_fault_operator.py::test_a_pause_stops_the_driver_before_its_next_step_and_resume_goes_on",
            "recovery/test_recovery_whole.py::test_pause_in_the_middle_stops_between_steps_and_resume_goes_on",
        ),
    ),
    removal(
        37,
        "an operator's word ends",
        Edit(
            "lib/nova_ha/cluster/incident.py",
            "        return self.until is None or now < self.until\n",
            "        return True\n",
        ),
        tests="test_fault_operator.py::test_an_operators_word_that_has_expired_is_worth_nothing",
    ),
    removal(
        37,
        "failed that is set back withdraws",
        Edit(DRIVER, "        if not node.failed:\n            raise", "        if False:\n            raise"),
        tests="test_fault_operator.py::test_failed_that_is_set_back_by_hand_withdraws_before_the_next_step",
    ),
    removal(
        38,
        "an orphan is resumed",
        ORPHANS_STAY,
        tests=MIX,
    ),
    process(
        12,
        "a claim is one transaction of locks and compared indexes",
        CLAIM_BY_PLAIN_WRITES,
        tests="whole/test_whole_drivers.py::test_of_two_drivers_that_start_at_once_one_recovers_the_host",
    ),
    process(
        10,
        "each write and each effect is under the lock",
        NO_LOCK_IN_WRITES,
        NO_PROOF,
        NO_PROOF_OF_A_BATCH,
        tests="whole/test_whole_drivers.py::test_a_driver_that_stood_still_beyond_its_lock_sends_nothing_any_more",
    ),
    process(
        9,
        "a driver bears with a Consul that is away for a while",
        Edit(DRIVER, "CONSUL_PATIENCE_S = 60.0", "CONSUL_PATIENCE_S = -1.0"),
        tests="test_faults_consul.py::"
        "test_an_incident_bears_with_the_death_of_every_leader_at_claim_fence_and_evacuation",
    ),
)
