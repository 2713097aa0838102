"""What protects servers on their way, and which they are: faults 10, 29 to 33, 48 to 50."""

# ruff: noqa: E501 (lines of the product, as they are)
from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, removal

EVACUATION = "lib/nova_ha/recovery/evacuation.py"
FOLLOWING = "lib/nova_ha/recovery/following.py"
FORCE_DOWN = "lib/nova_ha/recovery/force_down.py"
GATES = "lib/nova_ha/recovery/gates.py"
NOVA = "lib/nova_ha/compute/nova.py"
RESOURCES = "lib/nova_ha/compute/resources.py"
SERVERS = "lib/nova_ha/recovery/servers.py"
TOGETHER = "lib/nova_ha/cluster/together.py"

REMOVALS: tuple[Removal, ...] = (
    removal(
        (29, 50),
        "a host whose servers cannot be listed is not fenced",
        Edit(
            GATES,
            "    read = services is not None and (case.fenced or not trouble)\n",
            "    read = services is not None\n",
        ),
        tests=(
            "test_fault_nova.py::test_a_host_whose_servers_cannot_be_listed_keeps_its_power_until_they_can",
            "test_fault_supply.py::test_a_filter_that_nova_drops_before_the_fence_stops_it",
        ),
    ),
    removal(
        29,
        "what the last incident had asked for is followed by the next one",
        Edit(EVACUATION, "    followed = _still_followed(records, before)\n", "    followed: list[str] = []\n"),
        tests="recovery/test_recovery_moved_servers.py::"
        "test_a_retry_right_after_a_lost_answer_follows_what_nova_may_still_do",
    ),
    removal(
        29,
        "a 404 that is not Nova's own deletes no server",
        Edit(
            "lib/nova_ha/compute/refusal.py",
            "            if status == NOT_FOUND and not said_by_nova(call.answer):\n",
            "            if False:\n",
        ),
        tests="compute/test_compute_not_found.py::test_a_404_that_is_not_novas_own_says_nothing_of_a_server",
    ),
    removal(
        29,
        "nor takes the marks from an image or a flavor",
        Edit(RESOURCES, "            if not said_by_a_service(last_answer()):\n", "            if False:\n"),
        Edit(RESOURCES, "            if not said_by_nova(last_answer()):\n", "            if False:\n"),
        tests=(
            "compute/test_compute_not_found.py::"
            "test_an_image_whose_404_is_not_the_image_services_own_is_not_taken_for_one_without_marks",
            "compute/test_compute_not_found.py::test_a_flavor_whose_404_is_not_novas_own_is_not_looked_for_by_name",
        ),
    ),
    removal(
        29,
        "a server that was called gone, and is listed on the host, is asked for again",
        Edit(EVACUATION, "**incident.servers, **back, **new}", "**incident.servers, **new}"),
        tests="recovery/test_recovery_moved_servers.py::"
        "test_a_server_that_nova_calls_gone_and_lists_on_the_host_is_asked_for_again",
    ),
    removal(
        31,
        "only what is still on the failed host is asked for",
        Edit(EVACUATION, "        if seen.host != self.driver.incident.nova_host:\n", "        if False:\n"),
        tests="recovery/test_recovery_moved_servers.py::"
        "test_a_server_that_somebody_moves_while_it_waits_its_turn_is_left_where_it_is",
    ),
    removal(
        29,
        "an intent without a migration is watched before it is sent again",
        Edit(FOLLOWING, "UNSEEN_S = 60.0", "UNSEEN_S = 0.0"),
        tests=(
            "test_fault_nova.py::test_an_evacuation_that_begins_long_after_its_answer_was_lost_is_not_sent_twice",
            "recovery/test_recovery_whole.py::"
            "test_an_evacuation_that_nova_begins_long_after_its_answer_was_lost_is_not_sent_again",
        ),
    ),
    removal(
        29,
        "an error of Nova means unknown, and is borne for a while",
        Edit("lib/nova_ha/limits.py", "NOVA_PATIENCE_S = 90.0", "NOVA_PATIENCE_S = -1.0"),
        tests="test_fault_nova.py::test_reads_that_fail_for_a_while_conclude_nothing",
    ),
    removal(
        29,
        "what stopped at Nova goes on by itself",
        Edit(
            "lib/nova_ha/cluster/gate.py",
            '    NOVA_FAILS = "nova-fails", _T.ENDS_BY_ITSELF\n',
            '    NOVA_FAILS = "nova-fails"\n',
        ),
        tests="test_fault_nova.py::test_a_nova_that_stays_away_is_waited_for_and_the_recovery_goes_on_by_itself",
    ),
    removal(
        29,
        "while Nova cannot be asked nothing is claimed",
        Edit(GATES, "GateReading.of(Gate.NOVA_AWAY, read,", "GateReading.of(Gate.NOVA_AWAY, True,"),
        tests="test_fault_nova.py::test_a_nova_that_is_away_at_the_last_look_is_waited_for_and_nothing_is_fenced",
    ),
    removal(
        30,
        "the force-down is read again before each batch",
        Edit(
            EVACUATION,
            "        if reading is None or reading.service.up or not reading.service.forced_down:\n",
            "        if False:\n",
        ),
        tests=(
            "test_fault_return.py::test_a_force_down_that_is_lost_stops_everything",
            "recovery/test_recovery_whole.py::test_a_force_down_that_somebody_undid_stops_the_evacuation",
        ),
    ),
    removal(
        30,
        "the force-down is read back before a server is asked for",
        Edit(FORCE_DOWN, "    if service.up or not service.forced_down or service.enabled:\n", "    if False:\n"),
        Edit(
            EVACUATION,
            "        if reading is None or reading.service.up or not reading.service.forced_down:\n",
            "        if False:\n",
        ),
        tests="test_fault_return.py::test_a_service_that_reads_up_right_after_it_was_forced_down_stops_everything",
    ),
    removal(
        29,
        "a refusal is looked after before it counts",
        Edit(EVACUATION, "            if seen or unknown:\n", "            if False:\n"),
        tests="recovery/test_recovery_refusals.py::"
        "test_a_request_that_was_sent_twice_on_the_way_is_followed_though_the_second_was_refused",
    ),
    removal(
        29,
        "a limit of requests is given the time that it asks for",
        Edit(FOLLOWING, "LONGEST_PAUSE_S = 60.0", "LONGEST_PAUSE_S = 0.0"),
        tests="recovery/test_recovery_refusals.py::test_a_limit_of_requests_is_given_the_time_that_it_asks_for",
    ),
    removal(
        49,
        "what Nova itself put in error, as it gave up a live migration, may run on the other side",
        Edit(
            "lib/nova_ha/recovery/moving.py",
            "        elif move.server not in settled and (move.status.open or (given_up(move) and move.server not in known)):\n",
            "        elif move.server not in settled and move.status.open:\n",
        ),
        tests="recovery/test_recovery_moving.py::"
        "test_one_whose_live_migration_nova_gave_up_is_named_and_never_runs_twice",
    ),
    removal(
        49,
        "a server on the move is not evacuated",
        Edit(SERVERS, "    if moving(server) or has_left(server, leaving):\n", "    if False:\n"),
        Edit(
            EVACUATION,
            "        if state is not ServerState.PENDING:\n            return",
            "        if False:\n            return",
        ),
        tests=(
            "test_fault_supply.py::test_a_server_on_the_move_out_of_the_host_is_named_and_does_not_run_twice",
            "recovery/test_recovery_moving.py::"
            "test_a_server_in_live_migration_is_named_with_where_it_went_and_never_runs_twice",
        ),
    ),
    removal(
        49,
        "nor one whose state was set while its migration stays open",
        Edit(SERVERS, " or has_left(server, leaving):\n", ":\n"),
        tests=(
            "test_fault_supply.py::"
            "test_a_server_whose_state_was_set_while_its_migration_stays_open_does_not_run_twice",
            "recovery/test_recovery_moving.py::"
            "test_one_whose_state_was_set_while_its_migration_stays_open_is_named_and_never_runs_twice",
            "recovery/test_recovery_moved_servers.py::test_one_that_has_an_open_migration_by_then_is_not",
        ),
    ),
    removal(
        49,
        "nor one that began to move after it was listed",
        Edit(
            EVACUATION,
            "        if state is not ServerState.PENDING:\n            return",
            "        if False:\n            return",
        ),
        tests="recovery/test_recovery_moving.py::test_one_that_began_to_move_after_it_was_listed_is_not_sent_either",
    ),
    removal(
        49,
        "who was on the way to the host is named",
        Edit(
            "lib/nova_ha/recovery/finish.py",
            '*(f"audit: {line}" for line in on_their_way_here(driver.compute, host))',
            "",
        ),
        tests="test_fault_supply.py::test_a_server_on_the_move_to_the_host_is_named_at_the_end",
    ),
    removal(
        50,
        "each record's host is compared",
        Edit("lib/nova_ha/compute/records.py", "    if found.host != host:\n", "    if False:\n"),
        tests="compute/test_compute_listings.py::"
        "test_a_record_of_another_host_says_that_nova_drops_the_filter_and_which_right_is_missing",
    ),
    removal(
        50,
        "each evacuation's host is compared",
        Edit(NOVA, "bool(kind == EVACUATION and source == host)", "bool(kind == EVACUATION)"),
        tests="compute/test_compute_listings.py::"
        "test_a_migration_that_was_not_asked_for_is_no_evacuation_of_the_host",
    ),
    removal(
        44,
        "Nova's records are ordered by its own numbers",
        Edit(NOVA, "    if all(migration.number for migration in migrations):\n", "    if False:\n"),
        tests="compute/test_compute_listings.py::"
        "test_evacuations_are_ordered_by_novas_numbers_and_not_by_the_clocks_of_its_apis",
    ),
    removal(
        50,
        "an entry that cannot be read fails no list",
        Edit(NOVA, "(records.CellAway, *UNREADABLE) as error", "records.CellAway as error"),
        tests="compute/test_compute_listings.py::test_an_entry_that_cannot_be_read_is_passed_over_and_named_once",
    ),
    removal(
        50,
        "an entry that names no host is nobody's",
        Edit("lib/nova_ha/compute/records.py", 'host=_name(record["host"]),', 'host=record["host"],'),
        tests="compute/test_compute_listings.py::test_an_entry_that_names_no_host_fails_no_list",
    ),
    removal(
        50,
        "what cannot be read of a list is an error of Nova",
        Edit(
            NOVA,
            '        with self._asking(what, {400: MarkerGone} if "marker" in query else None):\n            _, body',
            "        if True:\n            _, body",
        ),
        tests="compute/test_compute_listings.py::test_a_server_that_cannot_be_read_is_an_error_of_nova_and_no_crash",
    ),
    removal(
        50,
        "a cell that is away hides its own hosts alone",
        Edit(NOVA, "                    if host and host == about:\n", "                    if True:\n"),
        tests="compute/test_compute_listings.py::test_a_service_that_nova_cannot_read_is_passed_over_and_told_once",
    ),
    removal(
        50,
        "of the failed host's own cell nothing is concluded while it is away",
        Edit(NOVA, "                    if host and host == about:\n", "                    if False:\n"),
        tests="compute/test_compute_listings.py::test_one_of_the_host_that_it_is_about_is_an_error",
    ),
    removal(
        50,
        "two records of one host are named before the fence",
        Edit(
            GATES,
            "    cause = None if known == [host] else",
            "    cause = None if known else",
        ),
        tests="test_fault_supply.py::test_a_host_of_which_nova_has_two_records_is_not_fenced",
    ),
    removal(
        31,
        "a refusal for one server is not one for all",
        Edit(
            EVACUATION,
            "        except (EvacuationRefused, NoSuchHost) as refusal:\n",
            "        except (EvacuationRefused, NoSuchHost) as refusal:\n            raise NeedsOperator(Gate.NOVA_FAILS, str(refusal)) from refusal\n",
        ),
        tests="test_fault_nova.py::test_each_server_ends_named_and_what_can_be_rebuilt_is",
    ),
    removal(
        31,
        "a server that fails is tried again elsewhere, and then named",
        Edit(EVACUATION, "hosts[min(progress.attempts, len(hosts) - 1)]", "hosts[0]"),
        tests="recovery/test_recovery_whole.py::test_a_full_ha_node_falls_back_to_the_scheduler",
    ),
    removal(
        31,
        "tries are bounded",
        Edit(FOLLOWING, "    if progress.attempts >= attempts:\n", "    if progress.attempts >= 2 * attempts:\n"),
        tests="test_fault_nova.py::test_no_valid_host_on_the_ha_node_goes_to_the_scheduler_and_nowhere_ends_named",
    ),
    removal(
        33,
        "a server on its way to a host that was fenced is asked for again",
        Edit(FOLLOWING, "    if destination_fenced:\n", "    if False:\n"),
        tests="test_fault_second_host.py::"
        "test_servers_on_their_way_to_a_host_that_dies_too_are_sent_elsewhere_once_it_is_fenced",
    ),
    removal(
        33,
        "a server on its way to a host that nobody fenced is not",
        Edit(FOLLOWING, "    if destination_fenced:\n", "    if waited_s > server_timeout_s:\n"),
        Edit(
            EVACUATION,
            "            if under_way and not self.destinations.fenced(record.destination):\n",
            "            if False:\n",
        ),
        tests="test_fault_second_host.py::"
        "test_servers_on_their_way_to_an_ha_node_that_dies_are_named_and_not_asked_for_again",
    ),
    removal(
        (25, 29),
        "what an earlier incident asked for is followed, however long ago by anybody's clock",
        Edit(
            "lib/nova_ha/recovery/evacuation.py",
            "before.items() if progress.state is ServerState.ASKED]\n",
            "before.items() if progress.state is ServerState.ASKED and progress.asked_at\n"
            "             and abs((driver.clients.clock.now() - progress.asked_at).total_seconds()) < 600]\n",
        ),
        tests="test_fault_old_requests.py::test_a_lost_request_is_not_sent_again_though_clocks_differ",
    ),
    removal(
        31,
        "a record from before the host was back keeps no server",
        Edit(
            "lib/nova_ha/recovery/evacuation.py",
            "            if record.status is MigrationStatus.COMPLETED and not under_way:\n                break",
            "            if False:\n                break",
        ),
        tests="test_fault_old_requests.py::"
        "test_a_record_that_stays_open_from_before_the_host_was_back_keeps_no_server",
    ),
    removal(
        33,
        "a third host meanwhile is one too many",
        Edit(TOGETHER, '        **dict.fromkeys(incidents, "has an open incident"),\n', ""),
        Edit(
            TOGETHER,
            '        **dict.fromkeys(began, "had an incident"),\n',
            "",
        ),
        tests="test_fault_second_host.py::test_a_third_host_meanwhile_is_one_too_many",
    ),
    removal(
        33,
        "after one host the next one is looked for",
        Edit(
            "lib/nova_ha/recovery/recover.py",
            "            view = read_view(clients.store)\n        except ConsulError as error:\n",
            "            break\n        except ConsulError as error:\n",
        ),
        tests="test_fault_second_host.py::test_with_one_ha_node_the_second_host_waits_its_turn",
    ),
    removal(
        32,
        "what a destination is still at work on is followed, though the host's return has completed its record",
        Edit(EVACUATION, "(at == 0 and record.status.arrived and being_rebuilt(seen))", "False"),
        tests="recovery/test_recovery_moved_servers.py::"
        "test_a_completed_record_is_followed_while_nova_rebuilds_its_server",
    ),
    removal(
        31,
        "what somebody else has rebuilt just now is not asked for",
        Edit(EVACUATION, "        if being_rebuilt(seen) and (not mine", "        if False and (not mine"),
        tests="recovery/test_recovery_moved_servers.py::"
        "test_a_server_that_somebody_has_just_asked_for_is_not_asked_for_again",
    ),
    removal(
        33,
        "a destination that was fenced is proved off still",
        Edit("lib/nova_ha/recovery/destinations.py", "        return looked.off\n", "        return True\n"),
        tests="recovery/test_recovery_destinations.py::"
        "test_a_host_that_was_fenced_and_is_on_again_may_finish_what_was_on_its_way_there",
    ),
    removal(
        31,
        "a server that has failed at its destination is asked for nowhere else",
        Edit(
            EVACUATION,
            "        return [bound] if bound and not self.destinations.fenced(bound) else found\n",
            "        return found\n",
        ),
        tests=(
            "recovery/test_recovery_destinations.py::"
            "test_a_server_that_has_failed_at_a_host_is_asked_for_nowhere_else",
            "recovery/test_recovery_destinations.py::test_nor_after_its_driver_was_killed",
        ),
    ),
    removal(
        31,
        "nor where it has failed by hand",
        Edit(EVACUATION, '    return failed_at(records, server.id) if tried else ""\n', '    return ""\n'),
        tests="recovery/test_recovery_destinations.py::test_nor_where_it_has_failed_by_hand_before",
    ),
    removal(
        10,
        "a reset and the request after it have a proof each",
        Edit(
            EVACUATION,
            "        if self._may_be_sent(unasked):\n            self._ask",
            "        if True:\n            self._ask",
        ),
        tests="recovery/test_recovery_refusals.py::"
        "test_a_driver_that_stood_still_while_nova_reset_a_server_does_not_ask_for_it",
    ),
    removal(
        48,
        "a name in Nova that an operator has corrected stops the driver",
        Edit(
            "lib/nova_ha/recovery/driver.py",
            "        if node.nova_word and not same_name(node.nova_word, self.incident.nova_host):\n",
            "        if False:\n",
        ),
        tests="recovery/test_recovery_changed_meanwhile.py::"
        "test_a_host_whose_name_in_nova_an_operator_corrects_is_left_alone_from_then_on",
    ),
    removal(
        32,
        "a task that waits for the host is named, also where it began after the listing",
        Edit(EVACUATION, "        if seen.task_state in ACTS_FIRST:\n", "        if False:\n"),
        tests="recovery/test_recovery_reset.py::"
        "test_a_start_that_waits_for_the_host_is_named_at_the_end_and_before_all_else_at_its_return",
    ),
)
