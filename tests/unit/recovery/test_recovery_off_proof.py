"""What proves a host off: series of readings as tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.fakes.values import NOW
from nova_ha.power import PowerOffAnswer, PowerReading, PowerState
from nova_ha.recovery.off_proof import AnsweredCommand, OffProof, PowerLook, PowerSeen, proved

STATES = {"1": PowerState.ON, "0": PowerState.OFF, "?": PowerState.UNKNOWN}
TAKEN, OFF_ALREADY = PowerOffAnswer.TAKEN, PowerOffAnswer.OFF_ALREADY
SHORT, LONG = OffProof.SHORT, OffProof.LONG


def read(word: str, begun_s: float, took_s: float = 0.0) -> PowerLook:
    return PowerLook(NOW, PowerReading(STATES[word]), begun_s, begun_s + took_s)


def seen(looks: Iterable[PowerLook]) -> PowerSeen:
    whole = PowerSeen()
    for look in looks:
        whole = whole.having(look)
    return whole


def each_2_s(words: str, begin_s: float = 0.0) -> list[PowerLook]:
    return [read(word, begin_s + 2 * place) for place, word in enumerate(words)]


@pytest.mark.parametrize(
    ("before", "after", "answer", "proof"),
    [
        ("1", "00", TAKEN, SHORT),
        ("11", "100", TAKEN, SHORT),
        ("1", "0?00", TAKEN, SHORT),
        ("1", "0", TAKEN, None),
        ("1", "0?0", TAKEN, None),
        # Off too late to be the command's doing.
        ("1", "111100", TAKEN, None),
        ("1", "1111" + "0" * 9, TAKEN, LONG),
        # Refused, off before, or not read right before.
        ("1", "00", OFF_ALREADY, None),
        ("0", "00", TAKEN, None),
        ("01", "00", TAKEN, None),
        ("?", "00", TAKEN, None),
        ("", "00", TAKEN, None),
        ("1", "0" * 9, OFF_ALREADY, LONG),
        ("0", "0" * 8, TAKEN, LONG),
        ("0", "0" * 7, TAKEN, None),
        # The readings before the command count, but two must be after it.
        ("0" * 9, "0", OFF_ALREADY, None),
        ("0" * 9, "00", OFF_ALREADY, LONG),
        # Broken by an ON; not by a short time without a reading.
        ("0", "0000100000", TAKEN, None),
        ("0", "000????0000", TAKEN, LONG),
        ("0", "000??????0000", TAKEN, None),
    ],
)
def test_two_readings_or_a_long_series(
    before: str, after: str, answer: PowerOffAnswer, proof: OffProof | None
) -> None:
    known = seen(each_2_s(before))
    sent_s = max(0.0, 2.0 * len(before) - 1)
    command = AnsweredCommand(answer, sent_s, known.just_on(sent_s))
    whole = seen([*each_2_s(before), *each_2_s(after, 2.0 * len(before))])
    assert proved(whole, command, 2, 15) is proof


def test_a_reading_counts_from_its_answer_to_the_beginning_of_the_last() -> None:
    slow = seen([read("0", 0, 5), read("0", 7, 5), read("0", 14, 5)])
    assert slow.off_s == 9


@pytest.mark.parametrize(("age_s", "fresh"), [(0.0, True), (2.0, True), (2.1, False)])
def test_a_reading_is_as_old_as_its_beginning(age_s: float, fresh: bool) -> None:
    known = seen([read("1", 10.0, 1.0)])
    assert known.just_on(10.0 + age_s) is fresh


@given(
    st.lists(st.tuples(st.sampled_from("10?"), st.floats(0.1, 20)), max_size=30),
    st.integers(0, 30),
    st.sampled_from(PowerOffAnswer),
    st.booleans(),
)
def test_nothing_is_proved_by_a_host_that_is_on_or_by_what_was_read_before_the_command(
    words: Sequence[tuple[str, float]], place: int, answer: PowerOffAnswer, on_before: bool
) -> None:
    moments = list(itertools.accumulate(gap for _, gap in words))
    looks = [read(word, at) for (word, _), at in zip(words, moments, strict=True)]
    sent_s = moments[min(place, len(moments) - 1)] + 0.05 if moments else 0.0
    proof = proved(seen(looks), AnsweredCommand(answer, sent_s, on_before), 2, 15)
    after = [look.state for look in looks if look.begun_s >= sent_s]
    if proof:
        assert after.count(PowerState.OFF) >= 2
        assert after[-1] is not PowerState.ON
        ons = [look.begun_s for look in looks if look.state is PowerState.ON]
        assert proof is SHORT or looks[-1].begun_s - max(ons, default=looks[0].begun_s) >= 15
