"""What protects from settings, sizes and releases that do not fit: faults 54, 55 and 59."""

from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, removal

LIMITS = "lib/nova_ha/limits.py"
FITS = "lib/nova_ha/cli/option_fits.py"
INCIDENT = "lib/nova_ha/cluster/incident.py"

REMOVALS: tuple[Removal, ...] = (
    removal(
        54,
        "the limits of a sweep come from its interval",
        Edit(LIMITS, "        login_s=min(LOGIN_S, most_login_s - STARTING_S / 2),\n", "        login_s=LOGIN_S,\n"),
        tests="test_limits.py::test_a_silent_host_has_its_whole_time_within_every_interval_that_is_accepted",
    ),
    removal(
        54,
        "a host must fail for 6 s",
        Edit(LIMITS, "    if interval_s * fail_threshold >= LEAST_STREAK_S:\n", "    if True:\n"),
        tests=(
            "test_fault_settings.py::test_a_threshold_that_does_not_fit_the_interval_is_refused",
            "cli/test_cli_doctor.py::test_an_interval_that_is_too_short_for_the_threshold_is_bad",
        ),
    ),
    removal(
        54,
        "what an observer reports as its interval is bounded",
        Edit(
            "lib/nova_ha/probe/votes.py",
            "        return min(longest, LONGEST_INTERVAL_S)\n",
            "        return longest\n",
        ),
        tests="probe/test_probe_votes.py::test_an_observer_that_says_it_sweeps_once_an_hour_slows_nobody_down",
    ),
    removal(
        54,
        "sweeps that miss their deadline are said",
        Edit(
            "lib/nova_ha/probe/observation.py",
            "        return self.late >= MOST_LATE\n",
            "        return False\n",
        ),
        tests=(
            "probe/test_probe_observation.py::test_a_second_sweep_in_a_row_that_misses_its_deadline_is_said",
            "cli/test_cli_doctor.py::test_an_observer_whose_sweeps_cannot_do_is_bad",
        ),
    ),
    removal(
        55,
        "the servers are counted before anything is done",
        Edit("lib/nova_ha/recovery/gates.py", "    _too_many_servers,\n", ""),
        tests=(
            "test_fault_settings.py::test_more_servers_than_a_record_has_room_for_are_named_before_the_power_is_cut",
            "recovery/test_recovery_many_servers.py"
            "::test_too_many_servers_for_one_record_are_the_operators_before_the_power_is_cut",
        ),
    ),
    removal(
        55,
        "names are cut where a record is too long",
        Edit(INCIDENT, "        while len(raw) > MOST_BYTES and most >= LEAST_TEXT:\n", "        while False:\n"),
        tests="cluster/test_cluster_large_incidents.py::test_whatever_their_names_and_reasons_are_the_most_servers_fit",
    ),
    removal(
        59,
        "an option that an HA node's release does not know is refused",
        Edit(FITS, "    known = text is not None and option in OPTIONS\n", "    known = False\n"),
        tests=(
            "test_fault_settings.py"
            "::test_an_older_ha_node_is_named_until_it_is_upgraded_and_no_option_is_set_that_it_does_not_know",
            "cli/test_cli_policy.py"
            "::test_an_option_that_an_ha_nodes_release_does_not_know_is_refused_until_it_is_upgraded",
        ),
    ),
    removal(
        59,
        "an older driver refuses the record of an incident",
        Edit(INCIDENT, "    VERSION = 3\n", "    VERSION = 2\n"),
        tests="test_fault_settings.py"
        "::test_the_record_that_an_older_driver_would_cut_permits_out_of_is_not_read_by_it",
    ),
)
