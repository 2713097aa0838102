"""What Nova's record of an evacuation means for the server: one row for each case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from nova_ha.cluster.incident import ServerProgress, ServerState
from nova_ha.compute import Migration, Server, ServerID
from nova_ha.compute.states import MigrationStatus, VMState
from nova_ha.errors import NovaError
from nova_ha.recovery.following import UNSEEN_S, Followed, Waiting, follow, newest

S, M = ServerState, MigrationStatus
ASKED = ServerProgress("web", "active", S.ASKED, attempts=1, target="ha-1")
HERE = Server(ServerID("u-1"), "web", "c1", VMState.ACTIVE)
THERE = replace(HERE, host="ha-1")
BROKEN = replace(HERE, vm_state=VMState.ERROR, fault="No valid host was found")


def a_record(status: MigrationStatus, uuid: str = "m-1", server: str = "u-1") -> Migration:
    return Migration(uuid, ServerID(server), status, "c1", "ha-1", datetime(2030, 1, 1, tzinfo=UTC))


def followed(
    record: Migration | None,
    server: Server | None = HERE,
    *,
    waited_s: float = 1,
    fenced: bool = False,
    progress: ServerProgress = ASKED,
    rebuilt_s: float = 0,
) -> Followed:
    return follow(
        progress,
        record,
        destination_fenced=fenced,
        waited_s=waited_s,
        server_timeout_s=300,
        attempts=3,
        look=lambda: server,
        rebuilt_for=lambda: rebuilt_s,
        source="c1",
    )


@pytest.mark.fault(29)
@pytest.mark.fault(31)
@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("record", "server", "waited_s", "fenced", "state"),
    [
        (None, HERE, 1, False, S.ASKED),
        (None, HERE, UNSEEN_S + 1, False, S.PENDING),
        (None, THERE, UNSEEN_S + 1, False, S.EVACUATED),
        (None, None, UNSEEN_S + 1, False, S.SKIPPED),
        (M.ACCEPTED, HERE, 1, False, S.ASKED),
        (M.PRE_MIGRATING, HERE, 299, False, S.ASKED),
        (M.PRE_MIGRATING, HERE, 301, False, S.FAILED),
        (M.UNKNOWN, HERE, 1, False, S.ASKED),
        (M.PRE_MIGRATING, HERE, 1, True, S.PENDING),
        # ACTIVE alone is not the end: it shows before the hand-over, on the old host.
        (M.PRE_MIGRATING, THERE, 1, False, S.ASKED),
        (M.DONE, HERE, 1, False, S.ASKED),
        (M.DONE, HERE, 301, False, S.FAILED),
        (M.DONE, THERE, 1, False, S.EVACUATED),
        (M.COMPLETED, THERE, 1, False, S.EVACUATED),
        (M.DONE, None, 1, False, S.SKIPPED),
        (M.ERROR, BROKEN, 1, False, S.PENDING),
        (M.FAILED, BROKEN, 1, False, S.PENDING),
        (M.CANCELLED, HERE, 1, False, S.PENDING),
        (M.FAILED, None, 1, False, S.SKIPPED),
    ],
)
def test_what_a_record_means(
    record: MigrationStatus | None, server: Server | None, waited_s: float, fenced: bool, state: ServerState
) -> None:
    seen = a_record(record) if record else None
    assert followed(seen, server, waited_s=waited_s, fenced=fenced).progress.state is state


@pytest.mark.fault(51)
def test_why_a_try_failed_is_read_once_its_task_is_over() -> None:
    before = replace(BROKEN, task_state="rebuild_spawning")
    locked = replace(BROKEN, fault="its lock", disk_locked=True)
    record = a_record(M.FAILED)
    assert followed(record, before).progress == replace(ASKED, migration="m-1", host="ha-1")
    assert followed(record, locked).disk_locked


@pytest.mark.parametrize(("fenced", "rebuilt_s"), [(True, 0), (False, UNSEEN_S)], ids=["fenced", "for-long"])
def test_a_task_that_nobody_will_end_is_not_waited_for(fenced: bool, rebuilt_s: float) -> None:
    left = replace(BROKEN, task_state="rebuild_spawning")
    again = followed(a_record(M.FAILED), left, fenced=fenced, rebuilt_s=rebuilt_s)
    assert again.progress.state is S.PENDING


def test_the_last_try_ends_as_failed_with_novas_own_words() -> None:
    last = replace(ASKED, attempts=3)
    ended = followed(a_record(M.ERROR), BROKEN, progress=last).progress
    assert ended.state is S.FAILED
    assert "No valid host was found" in ended.reason


def test_an_error_while_looking_concludes_nothing() -> None:
    def look() -> Server:
        raise NovaError("503")

    with pytest.raises(NovaError):
        follow(
            ASKED,
            a_record(M.FAILED),
            destination_fenced=False,
            waited_s=1,
            server_timeout_s=300,
            attempts=3,
            look=look,
            rebuilt_for=lambda: 0,
            source="c1",
        )


@pytest.mark.fault(29)
def test_only_records_newer_than_the_one_known_before_count() -> None:
    records = [a_record(M.FAILED, "new"), a_record(M.DONE, "other", "u-2"), a_record(M.DONE, "old")]
    assert newest(records, "u-1", "old") == records[0]
    assert newest(records[1:], "u-1", "old") is None
    assert newest(records, "u-1", "") == records[0]


def test_an_open_record_counts_before_a_newer_one_that_has_ended() -> None:
    records = [a_record(M.FAILED, "newer"), a_record(M.ACCEPTED, "older")]
    assert newest(records, "u-1", "") == records[1]


def test_waiting_starts_with_the_first_look_at_each_attempt() -> None:
    waiting = Waiting(300)
    assert waiting.since("u-1", ASKED, 1000.0) == 0
    assert waiting.since("u-1", ASKED, 1010.0) == 10
    assert waiting.since("u-1", replace(ASKED, attempts=2), 1010.0) == 0


def test_a_server_that_failed_pauses_before_the_next_try() -> None:
    waiting = Waiting(300)
    waiting.pause("u-1", ASKED, 1000.0)
    assert not waiting.may_be_asked("u-1", 1000.0)
    assert waiting.may_be_asked("u-1", 1010.0)
    assert waiting.may_be_asked("u-2", 1000.0)
