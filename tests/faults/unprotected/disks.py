"""What protects the disks of servers: fault 51."""

from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, removal

STORAGE = "lib/nova_ha/recovery/storage.py"
GATES = "lib/nova_ha/recovery/gates.py"
RECOVER = "lib/nova_ha/recovery/recover.py"
TRANSITIONS = "lib/nova_ha/recovery/transitions.py"
EVACUATION = "lib/nova_ha/recovery/evacuation.py"
OURS = "recovery/test_recovery_storage.py::"

REMOVALS: tuple[Removal, ...] = (
    removal(
        51,
        "what nobody calls shared is taken for local",
        Edit(STORAGE, "policy.recovery_storage is Storage.SHARED", "policy.recovery_storage is not Storage.LOCAL"),
        tests=(
            f"{OURS}test_a_server_whose_disk_is_on_the_dead_host_is_left_and_named",
            "test_fault_storage.py::test_servers_with_their_disks_on_the_host_are_left_and_said_and_no_disk_is_lost",
        ),
    ),
    removal(
        51,
        "a source that is out shares nothing",
        Edit(STORAGE, "failed is not None and not failed.local_storage", "failed is not None"),
        tests=(
            f"{OURS}test_one_host_that_is_out_of_the_shared_storage_is_believed_to_be",
            f"{OURS}test_a_local_host_stays_local_though_its_name_is_doubted_after_the_fence",
        ),
    ),
    removal(
        51,
        "a target that is out gets only what is on volumes",
        Edit(STORAGE, "else not self._is_local(host)\n", "else True\n"),
        tests=f"{OURS}test_a_target_that_does_not_mount_the_storage_gets_only_what_is_on_volumes",
    ),
    removal(
        51,
        "a target that is out is known by each of its names",
        Edit(STORAGE, "filter(None, (node.name, node.nova_word))", "filter(None, (node.nova_host,))"),
        tests=f"{OURS}test_a_target_stays_local_though_its_name_is_doubted",
    ),
    removal(
        48,
        "what an agent says takes no other target out",
        Edit(
            STORAGE,
            "if node.runtime and not _of_another(view, node.name, node.runtime.nova_host):",
            "if node.runtime:",
        ),
        tests=(
            f"{OURS}test_the_agent_of_a_local_host_takes_no_other_target_out",
            "test_fault_tokens.py::test_the_name_of_an_ha_node_does_not_keep_servers_from_it",
        ),
    ),
    removal(
        51,
        "while a host is out the scheduler is no target",
        Edit(STORAGE, "return not self.local_hosts if host == ANY_HOST", "return True if host == ANY_HOST"),
        tests=f"{OURS}test_the_scheduler_is_a_target_only_where_no_host_is_out",
    ),
    removal(
        51,
        "a host's own report that it shares nothing takes it out of the targets",
        Edit(
            STORAGE,
            "frozenset([*_local_hosts(view), *_reported_hosts(view, reported)])",
            "frozenset(_local_hosts(view))",
        ),
        tests=f"{OURS}test_a_host_that_reports_its_instances_on_a_disk_of_its_own_is_no_target_for_a_disk",
    ),
    removal(
        51,
        "and leaves its own servers' disks where they are",
        Edit(STORAGE, " and node not in reported\n", "\n"),
        tests=f"{OURS}test_its_own_servers_are_left_on_it_when_it_dies",
    ),
    removal(
        (48, 51),
        "such a report takes no other host out",
        Edit(
            STORAGE,
            "        yield from filter(None, (node.name, node.nova_word, node.nova_host))\n",
            "        yield from filter(None, (node.name, node.nova_word, node.runtime and node.runtime.nova_host))\n",
        ),
        tests=f"{OURS}test_it_takes_nobody_else_out",
    ),
    removal(
        51,
        "where no report says shared the operator's word stands",
        Edit("lib/nova_ha/cluster/storage_word.py", "    if True not in said.values():\n", "    if False:\n"),
        tests=f"{OURS}test_where_no_host_reports_shared_instances_their_disks_are_elsewhere",
    ),
    removal(
        51,
        "it is named before the night",
        Edit(
            "lib/nova_ha/monitor/agenda.py",
            "        *(_unshared(name) for name in unexpected_reports(seen.view)),\n",
            "",
        ),
        tests="checks/test_checks_cluster.py::"
        "test_a_host_that_reports_unshared_instances_among_others_that_share_theirs_is_named",
    ),
    removal(
        51,
        "a try again goes only where the disk is seen",
        Edit(
            STORAGE,
            "        return [host for host in hosts if self.kept(progress, host)]\n",
            "        return hosts\n",
        ),
        tests=f"{OURS}test_a_try_again_elsewhere_never_goes_where_the_disk_is_not_seen",
    ),
    removal(
        51,
        "what came back with a new disk is not called evacuated",
        Edit(STORAGE, "        if not self.kept(progress, progress.host):\n", "        if False:\n"),
        tests=(
            f"{OURS}test_where_the_policy_says_rebuild_it_comes_back_and_is_not_called_evacuated",
            f"{OURS}test_what_an_operator_evacuates_by_hand_is_called_what_it_is",
        ),
    ),
    removal(
        51,
        "who would leave root disks behind lets another HA node go first",
        Edit(GATES, "    _shared_first,\n", ""),
        tests=(
            f"{OURS}test_an_ha_node_that_would_leave_root_disks_behind_lets_another_one_go_first",
            f"{OURS}test_one_that_could_bring_the_disks_back_is_waited_for_while_it_works",
            "test_fault_storage.py::test_a_host_is_left_to_the_ha_node_that_can_bring_its_root_disks_back",
        ),
    ),
    removal(
        51,
        "one whose driver has died is at work no longer",
        Edit(TRANSITIONS, "[*works_on(view, ha_node)] if ha_node.lock_session else []", "[*works_on(view, ha_node)]"),
        tests=(
            f"{OURS}test_one_whose_driver_died_and_that_runs_no_other_is_not_waited_for_for_ever",
            "test_fault_storage.py::test_a_host_whose_driver_died_on_the_only_ha_node_in_the_storage_comes_to_its_end",
        ),
    ),
    removal(
        51,
        "one whose driver has died can go on itself",
        Edit(
            GATES,
            "free = not other.in_use or any(works_on(f.view, other))",
            "free = not other.in_use or bool(at_work_on(f.view, other))",
        ),
        tests=f"{OURS}test_one_whose_driver_died_goes_on_first_where_it_runs_another",
    ),
    removal(
        51,
        "what a recovery that is to go on waits for is said",
        Edit("lib/nova_ha/cluster/duty.py", " if row.duty.due else", " if row.duty is Duty.CLAIM else"),
        tests="test_fault_storage.py::test_a_host_to_be_resumed_says_whom_it_is_left_to",
    ),
    removal(
        51,
        "one that takes another host meanwhile has not let this one lie",
        Edit(GATES, "in f.waited_for or bool(at_work_on(f.view, other))", "in f.waited_for"),
        Edit(RECOVER, "seen is None or seen.lock_session or at_work", "seen is None or seen.lock_session"),
        tests=f"{OURS}test_one_that_takes_another_host_meanwhile_is_waited_for",
    ),
    removal(
        51,
        "one that turns out to be at work is waited for again",
        Edit(GATES, "in f.waited_for or bool(at_work_on(f.view, other))", "in f.waited_for"),
        tests=f"{OURS}test_one_that_begins_late_is_waited_for_again",
    ),
    removal(
        51,
        "one that goes first has time for its silence",
        Edit(RECOVER, "return needed_s(cadence_s) + ", "return "),
        tests=f"{OURS}test_one_that_goes_first_has_the_time_that_it_needs",
    ),
    removal(
        51,
        "one that goes first has time for the lock delay",
        Edit(RECOVER, " if resumes else 0.0\n", " if False else 0.0\n"),
        tests=f"{OURS}test_one_that_goes_first_has_time_to_wait_out_the_lock_delay",
    ),
    removal(
        51,
        "who took nothing is waited for once",
        Edit(
            "lib/nova_ha/recovery/queue.py",
            "        for node in due_tasks(view, self._clients):\n            self._not_taken",
            "        for node in list(self._due)[:1]:\n            self._not_taken",
        ),
        tests=f"{OURS}test_one_that_takes_nothing_is_waited_for_once_and_not_for_each_host",
    ),
    removal(
        51,
        "what fails later is left to it again",
        Edit(
            "lib/nova_ha/recovery/queue.py",
            "return self._not_taken.get(node, frozenset())",
            "return frozenset().union(*self._not_taken.values())",
        ),
        tests=f"{OURS}test_what_fails_later_is_left_to_it_again",
    ),
    removal(
        51,
        "while one is waited for, others that can be claimed are",
        Edit(
            RECOVER,
            "        if queue.claims_beside(view, node.name):\n            return GaveWay.SHARED_FIRST\n",
            "",
        ),
        tests=f"{OURS}test_a_host_that_can_be_claimed_meanwhile_does_not_wait_with_it",
    ),
    removal(
        51,
        "a volume needs to be seen, not only the want of an image",
        Edit(
            "lib/nova_ha/compute/records.py",
            'if record.get("image") == "" and record.get(VOLUMES) else',
            'if not record.get("image") else',
        ),
        tests="compute/test_compute_records.py::test_a_root_disk_is_a_volume_only_where_nova_shows_one",
    ),
    removal(
        51,
        "what the operator says of the storage is read in each turn",
        Edit(EVACUATION, "        self._disks = None\n", ""),
        tests=f"{OURS}test_a_word_that_is_given_during_the_evacuation_counts_for_all_that_has_not_arrived",
    ),
    removal(
        51,
        "what an older release has listed is read anew",
        Edit(EVACUATION, "    driver.incident = replace(driver.incident, servers=servers)\n", ""),
        tests=f"{OURS}test_a_driver_of_this_release_that_takes_an_older_one_over_reads_the_disks_itself",
    ),
    removal(
        51,
        "a word for a new disk ends",
        Edit(STORAGE, "(server in self.words and now < self.words[server])", "server in self.words"),
        Edit(
            "lib/nova_ha/cluster/node.py",
            "return {server: until for server, until in words.items() if now < until}",
            "return words",
        ),
        tests=f"{OURS}test_a_word_for_a_new_disk_that_ends_while_the_incident_waits_is_none",
    ),
    removal(
        51,
        "a word for a new disk stands beside those after it",
        Edit(
            "lib/nova_ha/recovery/operator.py",
            "    return node.approval.to_rebuild(clock.now()) if node.approval else {}\n",
            "    return {}\n",
        ),
        tests=f"{OURS}test_a_word_for_a_new_disk_stands_beside_those_that_come_after_it",
    ),
    removal(
        51,
        "a locked disk is not tried again blindly",
        Edit(
            "lib/nova_ha/recovery/following.py",
            "return _locked(progress, why) if found.disk_locked else _again(progress, attempts, why)",
            "return _again(progress, attempts, why)",
        ),
        tests=f"{OURS}test_a_disk_that_a_writer_holds_stops_everything_and_is_not_tried_again",
    ),
    removal(
        51,
        "why a try failed is read once Nova has said it",
        Edit(
            "lib/nova_ha/recovery/following.py",
            "if being_rebuilt(found) and not destination_fenced and rebuilt_for() < UNSEEN_S:",
            "if False:",
        ),
        tests=f"{OURS}test_a_disk_that_a_writer_holds_stops_everything_and_is_not_tried_again",
    ),
    removal(
        51,
        "what a try of an incident that stopped has put in error is what it was before",
        Edit(EVACUATION, "ServerState.FAILED, ServerState.PENDING)\n", "ServerState.FAILED)\n"),
        tests=f"{OURS}test_what_its_owner_had_shut_down_is_shut_down_again_after_a_retry",
    ),
    removal(
        51,
        "the power is read right then",
        Edit(EVACUATION, "if self.power.read_anew() else", "if True else"),
        tests=f"{OURS}test_its_power_is_read_right_then_and_on_is_said_instead",
    ),
)
