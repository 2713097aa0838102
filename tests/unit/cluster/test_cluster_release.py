"""Releases: who runs which, and who would do nothing while an option is set."""

from __future__ import annotations

import pytest
from nova_ha import __version__
from nova_ha.cluster.policy import OPTIONS
from nova_ha.cluster.release import FIRST, KNOWN_OPTIONS, knows, mixed, unaware


def test_this_release_knows_all_its_options_and_is_not_in_the_table() -> None:
    assert __version__ not in KNOWN_OPTIONS
    assert all(knows(__version__, option) for option in OPTIONS)


@pytest.mark.fault(59)
def test_an_older_release_knows_what_it_had() -> None:
    assert knows("", "recovery/mode")
    assert not knows("", "nova/report_interval")
    assert not knows(FIRST, "nova/report_interval")
    assert knows("9.9.9", "nova/report_interval"), "a newer one has what this one has"


@pytest.mark.fault(59)
def test_the_names_of_those_that_do_not_know_it_are_told() -> None:
    assert unaware({"ha-2": "", "ha-1": __version__, "ha-3": FIRST}, "nova/report_interval") == ["ha-2", "ha-3"]


@pytest.mark.fault(59)
@pytest.mark.parametrize(
    ("releases", "words"),
    [
        ({}, ""),
        ({"ha-1": ""}, ""),
        ({"ha-1": "0.2.0", "ha-2": "0.2.0"}, ""),
        ({"ha-1": "0.2.0", "ha-2": "", "ha-3": "0.2.0"}, "0.2.0: ha-1, ha-3; an older release: ha-2"),
        ({"ha-1": "0.2.0", "ha-2": "0.3.0"}, "0.2.0: ha-1; 0.3.0: ha-2"),
    ],
)
def test_it_is_mixed_until_all_run_the_same(releases: dict[str, str], words: str) -> None:
    assert mixed(releases) == words
