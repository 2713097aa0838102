"""Redfish, through sushy's connector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nova_ha.power import PowerOffAnswer, PowerReading, PowerState
from nova_ha.power.bmc_login import LoginType
from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import BMCTrouble, Diagnosis, Trouble
from nova_ha.power.redfish_answer import Document, inside, link_in, links_in

if TYPE_CHECKING:
    from nova_ha.power.redfish_system import RedfishSystem

ROOT = "/redfish/v1/"
_ENABLED = "Enabled"
_NOT_THERE = 404
# For a question beside the task: a BMC that is slow here is none that refuses.
_ASIDE_S = 3.0


class RedfishLogin:
    """A login at a Redfish BMC; see `bmc_login.BMCLogin`."""

    def __init__(self, device: FenceDevice) -> None:
        from nova_ha.power.redfish_connection import RedfishConnection
        from nova_ha.power.redfish_session import RedfishSession

        self._device = device
        self._bmc = RedfishConnection(device)
        self._root = self._service_root()
        self._session = RedfishSession(self._bmc, device, self._root)
        try:
            self._system = self._host(self._session.open(self._systems))
        except Exception:
            self.close()
            raise  # nobody has a session to close yet

    @staticmethod
    def preload() -> None:
        import nova_ha.power.redfish_account
        import nova_ha.power.redfish_session
        import nova_ha.power.redfish_system  # noqa: F401

    def power(self) -> PowerReading:
        """Return what the login has read; of another machine than the recorded one it says nothing about the host."""
        if self._is_another:
            return PowerReading(PowerState.UNKNOWN, self._another_in_words)
        return self._system.power()

    def power_off(self) -> PowerOffAnswer:
        if self._is_another:
            raise BMCTrouble(Trouble.COMMAND_REFUSED, self._another_in_words)
        if not self._system.reset:
            raise BMCTrouble(Trouble.COMMAND_REFUSED, "the system offers no reset action")
        from nova_ha.power.redfish_refusal import RedfishRefusal
        from nova_ha.power.redfish_system import FORCE_OFF

        try:
            self._bmc.post(self._system.reset, {"ResetType": FORCE_OFF})
        except RedfishRefusal as refusal:
            if refusal.status in (400, 409) and not refusal.named and self._is_off_already():
                return PowerOffAnswer.OFF_ALREADY
            raise refusal.of_the_command() from None
        return PowerOffAnswer.after(self._system.power().state)

    def identity(self) -> str | None:
        return self._system.identity()

    def foreseen(self) -> Diagnosis:
        """Say what a power-off would meet: no such reset, or an account without the right."""
        from nova_ha.power.redfish_account import PowerRight, power_right

        if not self._system.reset or not self._offers_force_off(where_untold=True):
            return Diagnosis(Trouble.NO_FORCE_OFF)
        right = power_right(self._bmc.get, self._root, self._device.user, self._session.roles)
        return Diagnosis(Trouble.NO_RIGHT if right is PowerRight.NO else Trouble.NONE)

    def close(self) -> None:
        self._session.close()

    @property
    def _is_another(self) -> bool:
        """True where this login shows another machine, as a BMC of several does that does not list the host now."""
        from nova_ha.power.identity import Match, compared

        return compared(self._device.identity, self._system.identity()) is Match.DIFFERS

    @property
    def _another_in_words(self) -> str:
        return f"its system {self._system.name} is {self._system.identity()}, expected {self._device.identity}"

    def _service_root(self) -> Document:
        from nova_ha.power.redfish_refusal import RedfishRefusal

        try:
            return self._bmc.get(ROOT)
        except BMCTrouble as trouble:
            if isinstance(trouble, RedfishRefusal) and trouble.status == _NOT_THERE:
                raise BMCTrouble(Trouble.NO_REDFISH, trouble.detail) from trouble
            if trouble.trouble is not Trouble.LOGIN_REFUSED:
                raise
            return {}  # it shows nothing to strangers: its paths are the usual ones then

    def _systems(self) -> Document:
        return self._bmc.get(link_in(self._root, "Systems") or f"{ROOT}Systems")

    def _host(self, systems: Document) -> RedfishSystem:
        from nova_ha.power.redfish_system import the_host

        paths = links_in(systems, "Members")
        return the_host(paths, self._bmc.get, wanted=self._device.system, identity=self._device.identity)

    def _is_off_already(self) -> bool:
        """True where a refusal was for being off: nothing else explains it."""
        from nova_ha.power.redfish_connection import FAILURES
        from nova_ha.power.redfish_system import RedfishSystem

        try:
            if not self._offers_force_off(where_untold=False) or not self._manager_is_enabled():
                return False
            return RedfishSystem(self._system.path, self._bmc.get(self._system.path)).power().state is PowerState.OFF
        except FAILURES:
            return False

    def _offers_force_off(self, *, where_untold: bool) -> bool:
        from nova_ha.power.redfish_connection import FAILURES
        from nova_ha.power.redfish_system import FORCE_OFF

        try:
            resets = self._system.resets(lambda path: self._bmc.get(path, _ASIDE_S))
        except FAILURES:
            resets = None
        return where_untold if resets is None else FORCE_OFF in resets

    def _manager_is_enabled(self) -> bool:
        """True where all that manage the system say that they are: one that restarts reads off, and refuses."""
        managers = self._system.managers or self._all_managers()
        states = [inside(self._bmc.get(path), "Status", "State") for path in managers]
        return bool(states) and all(state == _ENABLED for state in states)

    def _all_managers(self) -> tuple[str, ...]:
        return links_in(self._bmc.get(link_in(self._root, "Managers") or f"{ROOT}Managers"), "Members")


LOGIN: LoginType = RedfishLogin
