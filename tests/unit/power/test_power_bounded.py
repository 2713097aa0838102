"""What a caller is told: readings, errors, and which of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nova_ha.errors import BMCError, ConfigError, OutcomeUnknown
from nova_ha.power import PowerOffAnswer, PowerReading, PowerState, bmc_sweep, bounded, child, connect
from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import Diagnosis, Trouble
from nova_ha.power.order import BMCAnswer, BMCTask, Order
from nova_ha.power.redfish_connection import CertificateRule

DEVICE = FenceDevice("ipmi", "10.0.0.7", 623, "ADMIN", "s3cret")


def answering(monkeypatch: pytest.MonkeyPatch, answer: BMCAnswer) -> list[Order]:
    """Let every child give this answer, and return the orders that they get."""
    orders: list[Order] = []

    def fake_child(order: Order) -> Mapping[str, BMCAnswer]:
        orders.append(order)
        return dict.fromkeys(order.devices, answer)

    monkeypatch.setattr(bounded, "carry_out_in_a_child", fake_child)
    monkeypatch.setattr(bmc_sweep, "carry_out_in_a_child", fake_child)
    return orders


def trouble(kind: Trouble, *, sent: bool) -> BMCAnswer:
    return BMCAnswer.of_trouble(Diagnosis(kind, "so it is"), sent=sent)


@pytest.mark.fault(19)
@pytest.mark.parametrize("kind", sorted(set(Trouble) - {Trouble.NONE}, key=lambda kind: kind.name))
def test_trouble_before_the_command_is_sent_is_an_error(monkeypatch: pytest.MonkeyPatch, kind: Trouble) -> None:
    answering(monkeypatch, trouble(kind, sent=False))

    with pytest.raises(BMCError, match=r"power-off of BMC 10\.0\.0\.7 port 623"):
        connect(DEVICE).power_off(20)


REFUSALS = {
    Trouble.COMMAND_REFUSED,
    Trouble.LOGIN_REFUSED,
    Trouble.PASSWORD_EXPIRED,
    Trouble.NO_RIGHT,
    Trouble.NO_SESSION,
    Trouble.NOT_READY,
}


@pytest.mark.parametrize("kind", sorted(REFUSALS, key=lambda kind: kind.name))
def test_a_refusal_of_the_command_is_an_error(monkeypatch: pytest.MonkeyPatch, kind: Trouble) -> None:
    answering(monkeypatch, trouble(kind, sent=True))

    with pytest.raises(BMCError):
        connect(DEVICE).power_off(20)


@pytest.mark.fault(16)
@pytest.mark.parametrize("kind", sorted(set(Trouble) - REFUSALS - {Trouble.NONE}, key=lambda kind: kind.name))
def test_any_other_trouble_after_the_login_leaves_the_outcome_unknown(
    monkeypatch: pytest.MonkeyPatch, kind: Trouble
) -> None:
    answering(monkeypatch, trouble(kind, sent=True))

    with pytest.raises(OutcomeUnknown, match="read the power state"):
        connect(DEVICE).power_off(20)


@pytest.mark.fault(19)
@pytest.mark.parametrize("kind", sorted(set(Trouble) - {Trouble.NONE}, key=lambda kind: kind.name))
def test_a_reading_never_raises_and_an_identity_never_hides_trouble(
    monkeypatch: pytest.MonkeyPatch, kind: Trouble
) -> None:
    answering(monkeypatch, trouble(kind, sent=True))

    reading = connect(DEVICE).power(20)

    assert reading == PowerReading(PowerState.UNKNOWN, f"{kind.value} (so it is)")
    with pytest.raises(BMCError, match="so it is"):
        connect(DEVICE).identity(20)


@pytest.mark.parametrize("identity", [None, "an-identity"])
def test_an_identity_is_returned_as_it_was_read(monkeypatch: pytest.MonkeyPatch, identity: str | None) -> None:
    answering(monkeypatch, BMCAnswer(identity=identity, sent=True))

    assert connect(DEVICE).identity(20) == identity


def test_a_sweep_asks_all_bmcs_in_one_child(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = answering(monkeypatch, BMCAnswer(PowerReading(PowerState.ON), "an-identity", sent=True))

    seen = bmc_sweep.sweep({"a": DEVICE, "b": DEVICE}, 50)

    assert [order.task for order in orders] == [BMCTask.LOOK]
    assert seen == dict.fromkeys("ab", bmc_sweep.BMCSighting(PowerReading(PowerState.ON), "an-identity", ""))


def test_a_sighting_has_the_trouble_in_few_words_and_the_reason_at_length(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, trouble(Trouble.LOGIN_REFUSED, sent=False))

    seen = bmc_sweep.sweep({"a": DEVICE}, 50)

    assert seen["a"].trouble == "login refused"
    assert seen["a"].power.why == "login refused (so it is)"


def an_order() -> Order:
    return Order(BMCTask.POWER, {"a": DEVICE}, time.monotonic() + 10, 10)


def test_a_machine_without_another_process_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_process(*args: object, **kwargs: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", no_process)

    answer = child.carry_out_in_a_child(an_order())["a"]

    assert "no process for it" in str(answer.diagnosis)
    assert not answer.sent


def test_a_child_that_fails_to_start_is_an_unknown_power_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_START", "import sys; sys.exit(3)")

    answer = child.carry_out_in_a_child(an_order())["a"]

    assert answer.power == PowerReading(PowerState.UNKNOWN, "unknown trouble (its process ended with 3)")


@pytest.mark.parametrize(
    "mess", ["", "\n", "{", '{"name": "a"}', '{"name": "a", "power": "maybe"}', "[]", "null", "7"]
)
def test_a_line_that_is_no_answer_is_none(monkeypatch: pytest.MonkeyPatch, mess: str) -> None:
    monkeypatch.setattr(child, "_START", f"import sys; sys.stdin.read(); print({mess!r})")

    assert child.carry_out_in_a_child(an_order())["a"].diagnosis.trouble is Trouble.TIMED_OUT


def test_the_child_gets_none_of_our_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    kept = {number: os.dup(number) for number in (1, 2)}
    where = "[os.readlink(f'/proc/self/fd/{number}') for number in range(3)]"
    answer = BMCAnswer(sent=True).to_json("a").replace("null", '"%s"', 1)
    monkeypatch.setattr(child, "_START", f"import os, sys; sys.stdin.read(); print({answer!r} % {where})")
    try:
        for number in kept:
            os.dup2(writing, number)
        files = child.carry_out_in_a_child(an_order())["a"].identity
    finally:
        for number, file in kept.items():
            os.dup2(file, number)

    assert files
    assert os.readlink(f"/proc/self/fd/{writing}") not in files
    for file in (reading, writing, *kept.values()):
        os.close(file)


def test_the_first_answer_of_a_bmc_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    well, crashed = BMCAnswer(PowerReading(PowerState.ON), sent=True), trouble(Trouble.UNKNOWN, sent=True)
    lines = well.to_json("a") + crashed.to_json("a")
    monkeypatch.setattr(child, "_START", f"import sys; sys.stdin.read(); print({lines!r}, end='')")

    assert child.carry_out_in_a_child(an_order())["a"] == well


names = st.text(max_size=20)
reasons = st.text(max_size=40)
answers = st.builds(
    BMCAnswer,
    st.builds(PowerReading, st.sampled_from(PowerState), reasons),
    st.none() | reasons,
    st.builds(Diagnosis, st.sampled_from(Trouble), reasons),
    st.booleans(),
    st.none() | st.sampled_from(PowerOffAnswer),
)
devices = st.builds(
    FenceDevice, names, names, st.integers(0, 65535), names, names, names, st.none() | names, st.none() | names
)


@given(names, answers)
def test_an_answer_arrives_as_it_was_sent_on_one_line(name: str, answer: BMCAnswer) -> None:
    line = answer.to_json(name)

    assert BMCAnswer.from_json(line) == (name, answer)
    assert line.count("\n") == 1
    assert len(line.encode()) < 4096


@given(st.sampled_from(BMCTask), st.dictionaries(names, devices, max_size=3))
def test_an_order_arrives_as_it_was_sent_on_one_line(task: BMCTask, bmcs: dict[str, FenceDevice]) -> None:
    order = Order(task, bmcs, 12.5, 3.0, 7)

    assert Order.from_json(order.to_json()) == order
    assert order.to_json().count("\n") == 1


def test_a_driver_that_nobody_wrote_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="no BMC driver 'telepathy': use one of ipmi, redfish"):
        connect(FenceDevice("telepathy", "host", 1, "user", "s3cret"))


def test_a_password_is_not_in_what_is_printed_of_an_address() -> None:
    assert "s3cret" not in repr(DEVICE)


PIN = "ab" * 32


@pytest.mark.parametrize("tls", [f"sha256:{PIN}", f"sha256:{PIN.upper()}", "sha256:" + ":".join(["AB"] * 32)])
def test_a_pin_may_be_spelled_as_tools_print_it(tls: str) -> None:
    assert CertificateRule.read(tls) == CertificateRule(pin=PIN)


@pytest.mark.parametrize(
    "tls", ["", "yes", "VERIFY", "sha256:", "sha256:abc", "sha1:" + PIN, "sha256:" + "xy" * 32, PIN]
)
def test_a_tls_setting_that_means_nothing_is_refused(tls: str) -> None:
    with pytest.raises(ConfigError, match="is not one of verify"):
        CertificateRule.read(tls)


def test_importing_it_costs_no_library() -> None:
    heavy = {"pyghmi", "sushy", "requests", "cryptography", "ssl"}
    code = f"import sys, nova_ha.power.bmc_sweep; sys.exit(bool({heavy} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0
