"""A real Consul cluster for a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from nova_ha.consul.store import Store, connect
from nova_ha.sandbox.consul import CONFIGURATION, Agent, Datacenter
from nova_ha.sandbox.directory import SandboxDirectory
from nova_ha.sandbox.network import Network, Reservation


class ConsulCluster:
    """Servers `server-1`.. and client agents `ha-1`.., all alive when it is entered, all gone when it is left.

    Under ACLs (`acl=True`, default deny) each client has a token with the policy of consul.d/acl/ha-node.hcl
    and its node's identity; `datacenter.management_token` can do everything; `key_list_policy` is
    `acl.enable_key_list_policy`. `files` (for instance
    `[CONFIGURATION / "ha-node.hcl"]`) and `settings` are loaded by every client, `environ` is what its
    scripts see beside CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN. An Agent has start, stop, kill, suspend,
    resume, leave, ask, http_address, access (the CONSUL_* variables), log and pid. `everywhere` are settings of
    all agents, also of the servers.
    """

    def __init__(
        self,
        *,
        servers: int = 1,
        clients: int = 1,
        acl: bool = False,
        key_list_policy: bool = False,
        files: Sequence[Path] = (),
        settings: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        everywhere: Mapping[str, Any] | None = None,
    ) -> None:
        self._directory = SandboxDirectory()
        self.directory = self._directory.path
        self._reservation = Reservation()
        self._count = clients
        self._loaded: dict[str, Any] = {"files": files, "settings": settings, "environ": environ}

        def new_agent(name: str, address: str, directory: Path, settings: Mapping[str, Any], *rest: Any) -> Agent:
            return Agent(name, address, directory, {**settings, **(everywhere or {})}, *rest)

        self.datacenter = Datacenter(
            self.directory,
            self.network,
            servers=servers,
            acl=acl,
            key_list_policy=key_list_policy,
            new_agent=new_agent,
        )

    def __enter__(self) -> ConsulCluster:
        try:
            self.datacenter.start()
            if self.datacenter.acl:
                self.datacenter.define_policy("ha-node", (CONFIGURATION / "acl/ha-node.hcl").read_text())
            for number in range(1, self._count + 1):
                self.add(f"ha-{number}", self.network.ha_node(number))
            self.datacenter.await_members()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End everything that was started in it, and whatever that has started."""
        self._directory.remove()
        self._reservation.release()

    @property
    def network(self) -> Network:
        """The loopback network of this cluster; `.host(n)` and `.bmc(n)` are free for the test."""
        return self._reservation.network

    @property
    def servers(self) -> dict[str, Agent]:
        """The server agents, by node name."""
        return {server.name: server for server in self.datacenter.servers}

    @property
    def agents(self) -> dict[str, Agent]:
        """The client agents, by node name."""
        return self.datacenter.clients

    def add(self, name: str, address: str, policies: Sequence[str] = ("ha-node",), **loaded: Any) -> Agent:
        """Start one more client agent; `files`, `settings` and `environ` as for the others, or its own."""
        allowed = policies if self.datacenter.acl else ()
        agent = self.datacenter.client(name, address, policies=allowed, **{**self._loaded, **loaded})
        agent.start()
        return agent

    def store(self, agent: str = "ha-1", call_timeout_s: float = 5.0) -> Store:
        """Return the library's own store on this agent, with the agent's token."""
        return connect(self.datacenter.clients[agent].access, call_timeout_s=call_timeout_s)

    def client(self, agent: str = "ha-1", token: str = "") -> Any:
        """Return a py-consul client of this agent: with the agent's token, or with the given one."""
        access = {**self.datacenter.clients[agent].access, **({"CONSUL_HTTP_TOKEN": token} if token else {})}
        return connect(access, call_timeout_s=5.0).client
