"""What Redfish BMCs of the field do, each as a small HTTPS server with the bodies that were seen."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from kit.machines.redfish import ACCOUNTS, MANAGER, RESET, SESSIONS, SYSTEM, FakeRedfish, error, start_fake_redfish
from nova_ha.power import PowerOffAnswer, PowerReading, PowerState, connect
from nova_ha.power.bmc_sweep import sweep
from nova_ha.power.diagnosis import Diagnosis, Trouble
from nova_ha.power.order import BMCAnswer, BMCTask
from nova_ha.power.redfish_connection import own_path
from nova_ha.power.tickets import Ticket, Tickets
from nova_ha.power.worker import visit
from nova_ha.sandbox.waiting import until

ON = PowerReading(PowerState.ON)
SYSTEMS = "/redfish/v1/Systems"
RESETS = {"#ComputerSystem.Reset": {"target": RESET, "ResetType@Redfish.AllowableValues": ["On", "ForceOff"]}}


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[FakeRedfish]:
    with start_fake_redfish(tmp_path, "127.11.4.10", 0) as bmc:
        yield bmc


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test knows another's sessions."""
    monkeypatch.setenv("NOVA_HA_RUN", str(tmp_path / "run"))


def leave(bmc: FakeRedfish, ticket: Ticket) -> None:
    """Let a process have opened this session, and be gone."""
    gone = Tickets(bmc.device)
    gone.opened(ticket)
    [(_, file)] = gone._files.values()
    assert file is not None
    os.close(file)


def asked(bmc: FakeRedfish, task: BMCTask = BMCTask.LOOK, **changes: Any) -> BMCAnswer:
    answers: list[BMCAnswer] = []
    visit(task, replace(bmc.device, **changes), answers.append)
    (answer,) = answers
    return answer


def powered_off(bmc: FakeRedfish) -> BMCAnswer:
    return asked(bmc, BMCTask.POWER_OFF)


def page(bmc: FakeRedfish, path: str, body: Any, status: int = 200) -> None:
    bmc.pages[path] = status, body


def test_a_bmc_that_can_be_fenced_has_no_trouble(bmc: FakeRedfish) -> None:
    assert asked(bmc) == BMCAnswer(ON, str(bmc.uuid).lower(), sent=True)
    assert bmc.sessions == set()


# The command.


@pytest.mark.fault(1)
@pytest.mark.parametrize("power", ["On", "Off", "PoweringOff", None])
def test_the_command_is_sent_whatever_the_power_reads(bmc: FakeRedfish, power: str | None) -> None:
    bmc.power = power
    expected = PowerOffAnswer.TAKEN if power == "On" else PowerOffAnswer.OFF_ALREADY
    assert powered_off(bmc).power_off is expected
    assert bmc.offs == 1


@pytest.mark.parametrize("status", [400, 409])
def test_a_refusal_by_a_host_that_is_off_is_said_so(bmc: FakeRedfish, status: int) -> None:
    bmc.power, bmc.refuses = "Off", status
    assert powered_off(bmc).power_off is PowerOffAnswer.OFF_ALREADY


OTHER_REASONS: dict[str, dict[str, Any]] = {
    "it restarts": {"manager": "Starting"},
    "it says nothing of itself": {"manager": None},
    "it does not offer ForceOff": {"resets": ("On", "GracefulShutdown", "PushPowerButton")},
    "it does not say what it offers": {"resets": None},
    "it reads on": {"power": "On"},
    "it reads neither": {"power": "PoweringOff"},
    "it has no time": {"refuses": 503},
    "no right": {"refuses": 403},
    "not there": {"refuses": 404},
    "it does not show its manager": {"pages": {MANAGER: (503, b"")}},
    "it shows no power any more": {"pages": {MANAGER: (200, b"<html>")}},
}


@pytest.mark.fault(19)
@pytest.mark.parametrize("reason", OTHER_REASONS)
def test_a_refusal_for_any_other_reason_is_none_for_being_off(bmc: FakeRedfish, reason: str) -> None:
    bmc.power, bmc.refuses = "Off", 409
    for name, value in OTHER_REASONS[reason].items():
        setattr(bmc, name, value)
    answer = powered_off(bmc)
    assert (answer.power_off, answer.diagnosis.trouble) == (None, Trouble.COMMAND_REFUSED)


def test_a_command_that_the_account_may_not_give_is_refused_for_that(bmc: FakeRedfish) -> None:
    bmc.power = "Off"
    bmc.pages["reset"] = 400, error("Base.1.8.InsufficientPrivilege")
    assert powered_off(bmc).diagnosis.trouble is Trouble.NO_RIGHT


def test_a_command_goes_on_where_its_path_has_moved_and_never_as_another_request(bmc: FakeRedfish) -> None:
    bmc.moved[RESET] = f"https://elsewhere.example{SYSTEM}/Oem/Actions/ComputerSystem.Reset"
    assert powered_off(bmc).power_off is PowerOffAnswer.TAKEN
    assert bmc.offs == 1


def test_a_command_that_is_sent_around_in_circles_is_not_taken(bmc: FakeRedfish) -> None:
    bmc.moved[RESET] = RESET
    assert powered_off(bmc).diagnosis.trouble is Trouble.COMMAND_REFUSED
    assert bmc.offs == 0


@pytest.mark.parametrize("link", [SYSTEM, f"https://other.example{SYSTEM}", f"//other.example{SYSTEM}", SYSTEM[1:]])
def test_no_link_leads_to_another_machine(link: str) -> None:
    """A BMC's account is often that of all of them: a link must not have another one switched off."""
    assert own_path(link) == SYSTEM


# What it can, known beforehand.


@pytest.mark.fault(56)
def test_a_bmc_without_force_off_cannot_be_fenced(bmc: FakeRedfish) -> None:
    bmc.resets = ("On", "GracefulShutdown", "GracefulRestart", "PushPowerButton")
    answer = asked(bmc)
    assert answer.power == ON
    assert str(answer.diagnosis) == "it does not offer ForceOff"


@pytest.mark.fault(56)
@pytest.mark.parametrize(
    ("offered", "trouble"), [("ForceOff", Trouble.NONE), ("PushPowerButton", Trouble.NO_FORCE_OFF)]
)
def test_what_it_offers_may_stand_on_a_page_of_its_own(bmc: FakeRedfish, offered: str, trouble: Trouble) -> None:
    about = f"{SYSTEM}/ResetActionInfo"
    reset = {"target": RESET, "@Redfish.ActionInfo": about}
    page(bmc, SYSTEM, {"PowerState": "On", "Actions": {"#ComputerSystem.Reset": reset}})
    page(bmc, about, {"Parameters": [{"Name": "Other"}, {"Name": "ResetType", "AllowableValues": ["On", offered]}]})
    assert asked(bmc).diagnosis.trouble is trouble


def test_a_page_of_resets_that_does_not_come_costs_no_bmc_its_look(bmc: FakeRedfish) -> None:
    about = f"{SYSTEM}/ResetActionInfo"
    reset = {"target": RESET, "@Redfish.ActionInfo": about}
    page(bmc, SYSTEM, {"PowerState": "On", "UUID": bmc.uuid, "Actions": {"#ComputerSystem.Reset": reset}})
    bmc.stalls_at.add(about)
    assert asked(bmc) == BMCAnswer(ON, str(bmc.uuid).lower(), sent=True)


@pytest.mark.parametrize("action", [{}, {"#ComputerSystem.Reset": {}}, {"#ComputerSystem.Reset": []}, None, "no"])
def test_a_system_without_a_reset_cannot_be_fenced(bmc: FakeRedfish, action: Any) -> None:
    page(bmc, SYSTEM, {"PowerState": "On", "Actions": action})
    assert asked(bmc).diagnosis.trouble is Trouble.NO_FORCE_OFF
    assert powered_off(bmc).diagnosis.trouble is Trouble.COMMAND_REFUSED


def a_role(*privileges: str, oem: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"AssignedPrivileges": list(privileges), "OemPrivileges": list(oem)}


READ_ONLY: dict[str, tuple[str, Any]] = {
    "ReadOnly": ("ReadOnly", None),
    "Cisco's": ("readonly", None),
    "None": ("None", None),
    "Huawei's": ("Commonuser", a_role("Login", "ConfigureSelf")),
}
MAY: dict[str, tuple[str, Any]] = {
    "Administrator": ("Administrator", None),
    "Operator": ("Operator", None),
    "one that nobody knows": ("Custom", None),
    "one of the site's own": ("Fencing", a_role("Login", "ConfigureComponents")),
    "one by the vendor's privileges": ("Fencing", a_role("Login", oem=("ControlServer",))),
}


@pytest.mark.fault(56)
@pytest.mark.parametrize("case", [*READ_ONLY, *MAY])
def test_an_account_that_may_only_read_cannot_fence(bmc: FakeRedfish, case: str) -> None:
    bmc.role, role = {**READ_ONLY, **MAY}[case]
    if role:
        page(bmc, f"/redfish/v1/AccountService/Roles/{bmc.role}", role)
    answer = asked(bmc)
    assert answer.power == ON
    assert str(answer.diagnosis) == ("its account may only read" if case in READ_ONLY else "")


@pytest.mark.fault(56)
@pytest.mark.parametrize("vendor", ["Hpe", "Hp"])
@pytest.mark.parametrize("may", [True, False])
def test_an_ilo_says_itself_whether_the_account_may_switch_the_power(
    bmc: FakeRedfish, vendor: str, may: bool
) -> None:
    account = {"UserName": "ADMIN", "RoleId": "Operator", "Oem": {vendor: {"Privileges": {}}}}
    account["Oem"][vendor]["Privileges"] = {"LoginPriv": True, "VirtualPowerAndResetPriv": may}  # type: ignore[index]
    page(bmc, f"{ACCOUNTS}/2", account)
    assert asked(bmc).diagnosis.trouble is (Trouble.NONE if may else Trouble.NO_RIGHT)


@pytest.mark.fault(56)
@pytest.mark.parametrize(("role", "trouble"), [("ReadOnly", Trouble.NO_RIGHT), ("Operator", Trouble.NONE)])
def test_a_role_that_the_login_names_is_enough(bmc: FakeRedfish, role: str, trouble: Trouble) -> None:
    """OpenBMC says so, of accounts of a directory too, which stand in no list."""
    bmc.sessions.add("token")
    bmc.pages["POST"] = 201, {"@odata.id": f"{SESSIONS}/token", "Roles": [role]}
    assert asked(bmc).diagnosis.trouble is Trouble.LOGIN_REFUSED  # no token came
    bmc.basic = True
    page(bmc, f"{ACCOUNTS}/2", {}, 403)
    assert asked(bmc).diagnosis.trouble is trouble


UNTOLD = {
    "403": (403, error("Base.1.8.InsufficientPrivilege")),
    "404": (404, b""),
    "no JSON": (200, b"<html>"),
    "no list": (200, {"Members": None}),
    "strangers": (200, {"UserName": "root", "RoleId": "ReadOnly"}),
}


@pytest.mark.parametrize("path", ["/redfish/v1/AccountService", ACCOUNTS, f"{ACCOUNTS}/2"])
@pytest.mark.parametrize("case", UNTOLD)
def test_what_the_account_may_is_unknown_where_the_bmc_does_not_say_it(
    bmc: FakeRedfish, path: str, case: str
) -> None:
    bmc.role = "ReadOnly"
    bmc.pages[path] = UNTOLD[case]
    asked_otherwise = case in ("no list", "strangers") and path == "/redfish/v1/AccountService"
    answer = asked(bmc)
    assert answer.power == ON
    assert answer.diagnosis.trouble is (Trouble.NO_RIGHT if asked_otherwise else Trouble.NONE)


def test_a_slow_answer_about_the_account_costs_no_bmc_its_look(bmc: FakeRedfish) -> None:
    bmc.stalls_at.add(f"{ACCOUNTS}/2")
    assert asked(bmc) == BMCAnswer(ON, str(bmc.uuid).lower(), sent=True)


# Sessions.


@pytest.mark.fault(19)
@pytest.mark.parametrize("location", [None, "{path}", "https://bmc.example{path}", "http://10.0.0.7:80{path}", ""])
@pytest.mark.parametrize("body_names_session", [True, False])
def test_every_session_is_ended_however_the_bmc_names_it(
    bmc: FakeRedfish, location: str | None, body_names_session: bool
) -> None:
    bmc.location, bmc.body_names_session = location, body_names_session
    for task in (BMCTask.POWER, BMCTask.LOOK, BMCTask.POWER_OFF):
        assert asked(bmc, task).diagnosis.trouble is Trouble.NONE
    assert (bmc.logins, bmc.sessions) == (3, set())


@pytest.mark.fault(19)
@pytest.mark.parametrize("body", [{"Members": []}, [], b"<html>", b"", {"Members": [{"@odata.id": "/nowhere"}]}])
def test_a_session_is_ended_where_nothing_comes_of_it(bmc: FakeRedfish, body: Any) -> None:
    page(bmc, SYSTEMS, body)
    assert asked(bmc).diagnosis.trouble is not Trouble.NONE
    assert (bmc.logins, bmc.sessions) == (1, set())


@pytest.mark.fault(19)
@pytest.mark.parametrize("status", [401, 403])
def test_a_bmc_that_wants_a_second_header_beside_its_token_gets_the_password_with_each_request(
    bmc: FakeRedfish, status: int
) -> None:
    bmc.csrf, bmc.basic = status, True
    assert powered_off(bmc).power_off is PowerOffAnswer.TAKEN
    assert (bmc.offs, bmc.sessions) == (1, set())


NO_SESSION = {
    "Redfish": (503, error("Base.1.8.SessionLimitExceeded")),
    "iLO": (400, error("Base.0.10.CreateLimitReachedForResource")),
    "iDRAC": (503, error("IDRAC.2.2.RAC0218", "The maximum number of user sessions is reached.")),
}


@pytest.mark.fault(56)
@pytest.mark.parametrize("make", NO_SESSION)
def test_without_a_free_session_the_password_is_tried_with_each_request(bmc: FakeRedfish, make: str) -> None:
    bmc.pages["POST"] = NO_SESSION[make]
    assert asked(bmc).diagnosis.trouble is Trouble.NO_SESSION
    bmc.basic = True
    assert asked(bmc) == BMCAnswer(ON, str(bmc.uuid).lower(), sent=True)


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_bmc_without_sessions_gets_the_password_with_each_request(bmc: FakeRedfish, status: int) -> None:
    bmc.basic = True
    bmc.pages["POST"] = status, b""
    assert asked(bmc).power == ON


def test_a_wrong_password_is_sent_once(bmc: FakeRedfish) -> None:
    bmc.basic = True
    assert str(asked(bmc, password="wrong").diagnosis) == "login refused (Access Denied)"
    assert bmc.asked == ["GET /redfish/v1/", f"POST {SESSIONS}"]


@pytest.mark.fault(19)
def test_a_password_that_must_be_changed_is_said_so(bmc: FakeRedfish) -> None:
    """AMI's MegaRAC gives a session, and 403 for everything with it."""
    ami = error("Base.1.5.GeneralError", "A general error has occurred.")
    ami["error"]["@Message.ExtendedInfo"].append({"MessageId": "Base.1.5.PasswordChangeRequired", "Message": "..."})
    page(bmc, SYSTEMS, ami, 403)
    assert asked(bmc).diagnosis.trouble.value == "login refused: the password must be changed"
    assert bmc.sessions == set()


@pytest.mark.fault(19)
@pytest.mark.parametrize("status", [401, 403])
def test_so_it_is_where_the_login_itself_says_it(bmc: FakeRedfish, status: int) -> None:
    bmc.pages["POST"] = status, error("Base.1.8.PasswordChangeRequired")
    assert asked(bmc).diagnosis.trouble is Trouble.PASSWORD_EXPIRED


@pytest.mark.fault(56)
@pytest.mark.parametrize("look", ["power", "sweep"])
def test_a_session_of_a_process_that_was_ended_is_ended_by_the_next_one(bmc: FakeRedfish, look: str) -> None:
    bmc.stalls_at.add(SYSTEM)
    assert connect(bmc.device).power(6.0).why == "timed out after 6 s"
    assert len(bmc.sessions) == 1
    bmc.stalls_at.clear()
    assert (
        connect(bmc.device).power(20.0) == ON if look == "power" else sweep({"a": bmc.device}, 20.0)["a"].power == ON
    )
    assert bmc.sessions == set()


OF_A_DRIVER = """
import json, sys
from nova_ha.power import connect
from nova_ha.power.device import FenceDevice
connect(FenceDevice(**json.loads(sys.argv[1]))).power(60.0)
"""


@pytest.mark.fault(11)
@pytest.mark.fault(56)
def test_a_session_of_a_driver_that_was_killed_is_ended_by_the_next_process(bmc: FakeRedfish) -> None:
    """With kill -9: the child that spoke to the BMC goes with it, and neither can say anything more."""
    bmc.stalls_at.add(SYSTEM)
    driver = subprocess.Popen([sys.executable, "-c", OF_A_DRIVER, json.dumps(asdict(bmc.device))])
    until(lambda: SYSTEM in " ".join(bmc.asked), "the question that is not answered")
    assert Tickets(bmc.device).left() == (), "it is in use"
    driver.kill()
    driver.wait()
    until(lambda: Tickets(bmc.device).left(), "the end of its child")
    bmc.stalls_at.clear()
    assert len(bmc.sessions) == 1
    assert connect(bmc.device).power(20.0) == ON
    assert (bmc.sessions, Tickets(bmc.device).left()) == (set(), ())


@pytest.mark.fault(35)
def test_where_no_file_can_be_written_the_bmc_is_asked_all_the_same(
    bmc: FakeRedfish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").write_text("")
    monkeypatch.setenv("NOVA_HA_RUN", str(tmp_path / "full"))
    assert asked(bmc).power == ON
    assert bmc.sessions == set()


def test_what_was_left_is_for_this_user_alone(bmc: FakeRedfish, tmp_path: Path) -> None:
    leave(bmc, Ticket(f"{SESSIONS}/old", "s3cret"))
    [file] = (tmp_path / "run/bmc-sessions").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.fault(56)
def test_a_session_that_was_left_makes_room_where_there_is_no_other(bmc: FakeRedfish) -> None:
    bmc.sessions.add("old")
    bmc.most_sessions = 1
    leave(bmc, Ticket(f"{SESSIONS}/old", "old"))
    assert asked(bmc).power == ON
    assert (bmc.sessions, Tickets(bmc.device).left()) == (set(), ())


@pytest.mark.fault(56)
def test_a_session_that_was_left_and_has_ended_leaves_the_one_that_has_its_number_now(bmc: FakeRedfish) -> None:
    bmc.csrf, bmc.basic = 401, True
    bmc.sessions.add("1")
    leave(bmc, Ticket(f"{SESSIONS}/1", "ended"))
    assert asked(bmc).power == ON
    assert (bmc.sessions, Tickets(bmc.device).left()) == ({"1"}, ())


@pytest.mark.fault(56)
def test_a_sweep_ends_what_it_left_itself(bmc: FakeRedfish, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is a new process each minute: what it does not end itself stays for half an hour."""
    from nova_ha.power import bmc_sweep

    monkeypatch.setattr(bmc_sweep, "_EACH_S", 2.0)
    bmc.stalls_at.add(SYSTEM)
    carried_out = bmc_sweep.carry_out_in_a_child

    def carry_out(order: Any) -> Any:
        answers = carried_out(order)
        bmc.stalls_at.clear()
        return answers

    monkeypatch.setattr(bmc_sweep, "carry_out_in_a_child", carry_out)
    assert sweep({"a": bmc.device}, 20.0)["a"].trouble == "timed out"
    assert bmc.sessions == set()


@pytest.mark.fault(19)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.parametrize("tls", ["verify", "insecure"])
def test_a_bmc_with_old_tls_only_is_named_so(tmp_path: Path, newest: ssl.TLSVersion, tls: str) -> None:
    """An iLO of generation 7. IPMI works there."""
    with start_fake_redfish(tmp_path, "127.11.4.11", 0, newest_tls=newest) as old:
        assert asked(old, tls=tls).diagnosis.short == "its TLS is too old: use the driver ipmi"


# Several systems.


def a_system(name: str, **fields: Any) -> dict[str, Any]:
    reset = f"{SYSTEMS}/{name}/Actions/ComputerSystem.Reset"
    actions = {"#ComputerSystem.Reset": {"target": reset, "ResetType@Redfish.AllowableValues": ["ForceOff"]}}
    return {"Id": name, "PowerState": "On", "SerialNumber": f"S71-{name}", "Actions": actions, **fields}


def systems(bmc: FakeRedfish, *pages: dict[str, Any], away: tuple[str, ...] = ()) -> None:
    names = [each["Id"] for each in pages]
    page(bmc, SYSTEMS, {"Members": [{"@odata.id": f"{SYSTEMS}/{name}"} for name in (*away, *names)]})
    for each in pages:
        page(bmc, f"{SYSTEMS}/{each['Id']}", each)
    for name in away:
        page(bmc, f"{SYSTEMS}/{name}", error("Base.1.8.ServiceTemporarilyUnavailable"), 503)


HOST_AMONG: dict[str, Callable[[FakeRedfish], None]] = {
    "DGX H100, on": lambda bmc: systems(bmc, a_system("DGX"), a_system("HGX_Baseboard_0")),
    "DGX H100, off": lambda bmc: systems(bmc, a_system("DGX"), away=("HGX_Baseboard_0",)),
    "GB300": lambda bmc: systems(bmc, a_system("HGX_Baseboard_0"), a_system("DGX")),
    "beside a DPU": lambda bmc: systems(bmc, a_system("Bluefield", SystemType="DPU"), a_system("DGX")),
    "beside one without power": lambda bmc: systems(bmc, {"Id": "Board", "Status": {}}, a_system("DGX")),
}


@pytest.mark.parametrize("case", HOST_AMONG)
def test_of_several_systems_the_host_is_taken(bmc: FakeRedfish, case: str) -> None:
    HOST_AMONG[case](bmc)
    assert asked(bmc).identity == "S71-DGX"
    powered_off(bmc)
    assert f"POST {SYSTEMS}/DGX/Actions/ComputerSystem.Reset" in bmc.asked


UNCLEAR: dict[str, Callable[[FakeRedfish], None]] = {
    "two": lambda bmc: systems(bmc, a_system("Blade1"), a_system("Blade2")),
    "one does not answer": lambda bmc: systems(bmc, a_system("Blade1"), away=("Blade2",)),
}


@pytest.mark.fault(20)
@pytest.mark.parametrize("case", UNCLEAR)
def test_where_several_may_be_the_host_none_is_taken(bmc: FakeRedfish, case: str) -> None:
    UNCLEAR[case](bmc)
    assert asked(bmc).diagnosis.trouble is Trouble.WHICH_SYSTEM
    assert {"Blade1", "Blade2"} <= set(asked(bmc).diagnosis.detail.split(", "))
    powered_off(bmc)
    assert not any("POST" in line and "Reset" in line for line in bmc.asked)


@pytest.mark.parametrize("system", ["Blade1", f"{SYSTEMS}/Blade1", f"{SYSTEMS}/Blade1/"])
@pytest.mark.parametrize("case", UNCLEAR)
def test_the_setting_says_which_one(bmc: FakeRedfish, case: str, system: str) -> None:
    UNCLEAR[case](bmc)
    assert asked(bmc, system=system).identity == "S71-Blade1"


@pytest.mark.fault(20)
@pytest.mark.parametrize("system", ["Blade", "Blade3", "/redfish/v1/Chassis/Blade1"])
def test_a_setting_that_names_none_of_them_is_refused(bmc: FakeRedfish, system: str) -> None:
    UNCLEAR["two"](bmc)
    assert asked(bmc, system=system).diagnosis.detail == f"Blade1, Blade2: none of them is {system}"


def test_the_recorded_identity_says_which_one(bmc: FakeRedfish) -> None:
    UNCLEAR["one does not answer"](bmc)
    assert asked(bmc, identity="S71-Blade1").identity == "S71-Blade1"
    assert asked(bmc, identity="S71-Blade2").diagnosis.trouble is Trouble.WHICH_SYSTEM


HERS, OTHERS = "7d0a3c51-9b1e-4f2a-8c6d-1e2f3a4b5c6d", "c0ffee12-5d6e-4a7b-9c8d-0a1b2c3d4e5f"
OTHER = a_system("B", UUID=OTHERS, PowerState="Off")
SHOWS_LESS: dict[str, Callable[[FakeRedfish], None]] = {
    "no identity": lambda bmc: systems(bmc, a_system("A", SerialNumber=None), OTHER),
    "nothing to cut": lambda bmc: systems(bmc, {"Id": "A", "Status": {"State": "StandbyOffline"}}, OTHER),
    "another name": lambda bmc: systems(bmc, {"Id": "A", "SerialNumber": "S71-X"}, OTHER),
    "itself no more": lambda bmc: systems(bmc, OTHER),
}


@pytest.mark.fault(20)
@pytest.mark.parametrize("case", SHOWS_LESS)
def test_the_other_machine_is_not_taken_for_the_host_where_that_shows_less_than_it_did(
    bmc: FakeRedfish, case: str
) -> None:
    """Each login chooses anew: the identity was compared in another one."""
    systems(bmc, a_system("A", UUID=HERS), OTHER)
    assert asked(bmc, identity=HERS).identity == HERS
    SHOWS_LESS[case](bmc)
    assert asked(bmc, BMCTask.POWER, identity=HERS).power.state is PowerState.UNKNOWN
    assert asked(bmc, BMCTask.POWER_OFF, identity=HERS).power_off is None
    assert not any("POST" in line and "Reset" in line for line in bmc.asked)


@pytest.mark.fault(20)
def test_the_only_system_that_is_another_machine_shows_who_it_is(bmc: FakeRedfish) -> None:
    """The gate bmc-identity says so, and nothing else does."""
    systems(bmc, OTHER)
    assert asked(bmc, BMCTask.IDENTITY, identity=HERS) == BMCAnswer(identity=OTHERS, sent=True)


# Odd answers.

ODD = {
    "empty": b"",
    "a page": b"<html><body>The service is starting</body></html>",
    "a list": b"[]",
    "null": b"null",
    "cut off": b'{"PowerState": "On"',
    "deep": b"[" * 100_000,
    "no text": b"\xff\xfe\x00",
    "nothing in it": {},
    "null power": {"PowerState": None},
    "a number": {"PowerState": 0},
    "going off": {"PowerState": "PoweringOff"},
    "Paused": {"PowerState": "Paused"},
    "nothing said": {"PowerState": ""},
}


@pytest.mark.fault(19)
@pytest.mark.parametrize("case", ODD)
def test_an_odd_answer_about_the_power_is_unknown(bmc: FakeRedfish, case: str) -> None:
    page(bmc, SYSTEM, ODD[case])
    reading = asked(bmc, BMCTask.POWER).power
    assert reading.state is PowerState.UNKNOWN
    assert reading.why
    assert reading.why.isprintable()


@pytest.mark.parametrize(("word", "state"), [("OFF", PowerState.OFF), ("off", PowerState.OFF), ("ON", PowerState.ON)])
def test_capitals_make_no_difference(bmc: FakeRedfish, word: str, state: PowerState) -> None:
    bmc.power = word
    assert asked(bmc, BMCTask.POWER).power == PowerReading(state)


OBJECT = {"error": {"code": "x", "@Message.ExtendedInfo": {"MessageId": "a.b.Busy", "Message": "Busy now."}}}
ERRORS = {
    "an object": (OBJECT, "Busy now."),
    "iLO 4": ({"error": {"@Message.ExtendedInfo": [{"MessageID": "iLO.0.10.NotAllowed"}]}}, "iLO.0.10.NotAllowed"),
    "no list": ({"error": {"code": "Base.1.0.GeneralError", "message": "See the log."}}, "See the log."),
    "texts": ({"error": {"@Message.ExtendedInfo": ["It is busy."]}}, "It is busy."),
    "a text": ({"error": "busy"}, "busy"),
    "a list": ([1, 2], "HTTP 500"),
    "a page": (b"<html>", "HTTP 500"),
    "nothing": (b"", "HTTP 500"),
    "nulls": ({"error": {"code": None, "message": None, "@Message.ExtendedInfo": None}}, "HTTP 500"),
    "general": (error("Base.1.5.GeneralError", "A general error has occurred."), "A general error has occurred."),
}


@pytest.mark.fault(19)
@pytest.mark.parametrize("case", ERRORS)
def test_a_refusal_is_one_however_its_body_looks(bmc: FakeRedfish, case: str) -> None:
    body, words = ERRORS[case]
    bmc.pages["reset"] = 500, body
    assert powered_off(bmc).diagnosis == Diagnosis(Trouble.COMMAND_REFUSED, words)


def test_a_root_that_is_shown_to_no_stranger_is_no_hindrance(bmc: FakeRedfish) -> None:
    bmc.moved["/redfish/v1/"] = SYSTEM  # answered with 401 before the login
    assert asked(bmc).power == ON


def test_its_own_manager_is_asked_and_no_board_s(bmc: FakeRedfish) -> None:
    bmc.power, bmc.refuses = "Off", 409
    board = "/redfish/v1/Managers/HGX_BMC_0"
    links = {"ManagedBy": [{"@odata.id": board}, {"@odata.id": MANAGER}]}
    page(bmc, SYSTEM, {"PowerState": "Off", "Actions": RESETS, "Links": links})
    page(bmc, board, {}, 503)
    assert powered_off(bmc).power_off is PowerOffAnswer.OFF_ALREADY


def test_neither_proxy_nor_netrc_of_the_environment_gets_the_password(
    bmc: FakeRedfish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert asked(bmc).power == ON


@pytest.mark.fault(16)
def test_a_command_with_a_lost_answer_is_sent_once(bmc: FakeRedfish) -> None:
    """sushy 5.14 sends it three times: the third answer may be a refusal of what the first one did."""
    bmc.drops = bmc.lies = True
    answer = powered_off(bmc)
    assert (answer.diagnosis.trouble, bmc.offs) == (Trouble.CONNECTION_LOST, 1)


# What one field of a document holds.


@pytest.mark.fault(19)
@pytest.mark.parametrize("field", [b"\xff\xfe\x80\xaa", b"Rack\t4\x01", b"caf\xe9"])
def test_a_field_that_is_no_text_costs_the_others_nothing(bmc: FakeRedfish, field: bytes) -> None:
    """As of a board whose FRU was never written (DMTF/libredfish#108, Dell EMC)."""
    document = {"PowerState": "On", "UUID": bmc.uuid, "SerialNumber": "@", "AssetTag": "@", "Actions": RESETS}
    page(bmc, SYSTEM, json.dumps(document).encode().replace(b"@", field))
    assert asked(bmc) == BMCAnswer(ON, str(bmc.uuid).lower(), sent=True)
    assert powered_off(bmc).power_off is PowerOffAnswer.TAKEN


def test_a_serial_number_that_is_no_text_is_no_identity(bmc: FakeRedfish) -> None:
    """Other bytes on another machine would be shown alike."""
    document = {"PowerState": "On", "UUID": "ffffffff-ffff-ffff-ffff-ffffffffffff", "SerialNumber": "CZ@7"}
    page(bmc, SYSTEM, json.dumps({**document, "Actions": RESETS}).encode().replace(b"@", b"\xff"))
    answer = asked(bmc)
    assert (answer.power, answer.identity) == (ON, None)


ONLY_INFO = {"code": "iLO.0.10.ExtendedInfo", "message": "See @Message.ExtendedInfo for more information."}
GENERAL = "Base.1.0.GeneralError"
WRONG_PASSWORDS: dict[str, tuple[int, Any]] = {
    "iLO 4": (
        400,
        {"error": {**ONLY_INFO, "@Message.ExtendedInfo": [{"MessageID": "Base.0.10.UnauthorizedLoginAttempt"}]}},
    ),
    "in words": (400, error("Base.1.5.GeneralError", "Invalid username or password.")),
    "locked": (403, error("iBMC.1.0.UserLocked", "The user is locked.")),
}


@pytest.mark.fault(19)
@pytest.mark.parametrize("vendor", WRONG_PASSWORDS)
def test_a_password_that_is_refused_in_words_is_not_sent_again(bmc: FakeRedfish, vendor: str) -> None:
    """With whatever status (DMTF/Redfish-Service-Validator#191: 400 at both BMCs at hand): BMCs lock accounts."""
    bmc.basic = True
    bmc.pages["POST"] = WRONG_PASSWORDS[vendor]
    assert asked(bmc).diagnosis.trouble is Trouble.LOGIN_REFUSED
    assert bmc.asked == ["GET /redfish/v1/", f"POST {SESSIONS}"]


@pytest.mark.parametrize(("status", "words"), [(401, "Access Denied"), (400, "Invalid username or password")])
def test_a_refused_login_is_said_in_words_not_by_the_name_of_no_message(
    bmc: FakeRedfish, status: int, words: str
) -> None:
    """As the emulator says it: a name that says nothing, and the text beside it."""
    told = {"code": GENERAL, "message": "Invalid username or password"}
    bmc.pages["POST"] = status, {"error": {**told, "@Message.ExtendedInfo": [{"MessageId": GENERAL}]}}
    assert asked(bmc).diagnosis.detail == words


@pytest.mark.parametrize("body", [b"<html>404 Not Found</html>", error("Base.1.0.ResourceMissingAtURI"), None])
def test_a_bmc_whose_redfish_is_switched_off_is_called_that(bmc: FakeRedfish, body: Any) -> None:
    """As an iDRAC answers then (dell/iDRAC-Redfish-Scripting#15). No password is sent to it."""
    page(bmc, "/redfish/v1/", body, 404)
    assert asked(bmc).diagnosis.trouble is Trouble.NO_REDFISH
    assert bmc.asked == ["GET /redfish/v1/"]
