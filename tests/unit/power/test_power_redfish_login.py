"""What a Redfish login leaves at the BMC when nothing comes of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from nova_ha.power.device import FenceDevice
from nova_ha.power.order import BMCTask
from nova_ha.power.worker import visit
from pyghmi.util.webclient import SecureHTTPConnection

SESSIONS = "/redfish/v1/SessionService/Sessions"
ROOT = {
    "Systems": {"@odata.id": "/redfish/v1/Systems"},
    "SessionService": {"@odata.id": "/redfish/v1/SessionService"},
}
HEADERS = {"X-Auth-Token": "token", "Location": f"{SESSIONS}/9"}


@pytest.mark.fault(19)
@pytest.mark.parametrize("systems", [({"Members": []}, 200), ('{"x": 1}', 503), ([], 200)])
def test_a_login_that_comes_to_nothing_is_logged_out(systems: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep a minute by three HA nodes would use up the BMC's sessions before the power is to be cut."""
    ended = []

    def asked(_: Any, url: str, *args: Any, method: str | None = None, **options: Any) -> Any:
        if method == "DELETE":
            ended.append(url)
            return {}, 204
        return systems

    session = SimpleNamespace(read=lambda: b"{}", getheader=lambda name, default=None: HEADERS.get(name, default))
    monkeypatch.setattr(SecureHTTPConnection, "grab_json_response", lambda *args, **options: ROOT)
    monkeypatch.setattr(SecureHTTPConnection, "grab_rsp", lambda *args, **options: session)
    monkeypatch.setattr(SecureHTTPConnection, "grab_json_response_with_status", asked)
    visit(BMCTask.LOOK, FenceDevice("redfish", "127.0.0.1", 443, "u", "p", "insecure"), lambda answer: None)
    assert ended == [f"{SESSIONS}/9"]
