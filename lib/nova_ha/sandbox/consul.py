"""Real Consul agents on loopback: servers and clients, each on its own address with Consul's own ports."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nova_ha.errors import ConsulError, HAError
from nova_ha.sandbox.certificates import Authority, Certificate
from nova_ha.sandbox.network import CONSUL_HTTP, CONSUL_HTTPS, Network
from nova_ha.sandbox.processes import Child, marked, own_environment
from nova_ha.sandbox.provide import PROJECT, find_consul
from nova_ha.sandbox.waiting import PATIENCE_S, until

CONFIGURATION = PROJECT / "consul.d"
CALL_TIMEOUT_S = 5.0
# Members that have lost each other try to find each other again every half minute.
RECONNECTED_S = 240.0
PORTS = {"dns": -1, "serf_wan": -1}


class Agent:
    """One Consul agent. Its scripts get its own environment, with the way back to it in `CONSUL_HTTP_ADDR`.

    With a certificate it speaks TLS alone, and demands a certificate of whoever asks it.
    """

    def __init__(
        self,
        name: str,
        address: str,
        directory: Path,
        settings: Mapping[str, Any],
        files: Sequence[Path] = (),
        environ: Mapping[str, str] | None = None,
        token: str = "",
        certificate: Certificate | None = None,
    ) -> None:
        self.name = name
        self.address = address
        self.token = token
        self.certificate = certificate
        self.directory = directory / name
        self.directory.mkdir(parents=True, exist_ok=True)
        self._settings = {
            **_settings(name, address, self.directory / "data"),
            **_tls_settings(certificate),
            **settings,
        }
        self._child = Child(
            name,
            [str(find_consul()), "agent", *self._sources(files)],
            marked({**own_environment(), "PATH": commands_path(), **self.access, **(environ or {})}, directory),
            self.directory / "log",
        )

    @property
    def http_address(self) -> str:
        """Where its HTTP API listens, as CONSUL_HTTP_ADDR takes it."""
        return f"https://{self.address}:{CONSUL_HTTPS}" if self.certificate else f"{self.address}:{CONSUL_HTTP}"

    @property
    def access(self) -> dict[str, str]:
        """The variables with which Consul's own clients find this agent."""
        token = {"CONSUL_HTTP_TOKEN": self.token} if self.token else {}
        tls = self.certificate.access if self.certificate else {}
        return {"CONSUL_HTTP_ADDR": self.http_address, **token, **tls}

    @property
    def log(self) -> Path:
        """Everything that the agent has printed."""
        return self._child.log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self._child.running

    def start(self) -> None:
        """Start it (again) with the data that it has, and wait until its API answers."""
        self._child.start()
        until(self._answers, f"the API of {self.name}")

    def stop(self) -> None:
        """End it by SIGTERM: it does not leave the cluster, as `leave_on_terminate` is false."""
        self._child.stop()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._child.kill()

    def suspend(self) -> None:
        """Stop it in its tracks."""
        self._child.suspend()

    def resume(self) -> None:
        """Let it go on."""
        self._child.resume()

    def leave(self) -> None:
        """Let it leave the cluster as for a planned shutdown, and wait for its end."""
        self.ask("/v1/agent/leave", method="PUT")
        until(lambda: not self.running, f"{self.name} to leave")

    def ask(self, path: str, *, method: str = "GET", body: Any = None, token: str = "") -> Any:
        """Return what its API answers, parsed; None for an empty answer. Raises ConsulError for all but 200."""
        connection = self._connection()
        try:
            headers = {"X-Consul-Token": token or self.token}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise ConsulError(f"{self.name} does not answer {path} ({error})") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise ConsulError(f"{self.name} answers {answer.status} to {path}: {text.strip()}")
        return json.loads(text) if text.strip() else None

    def _connection(self) -> http.client.HTTPConnection:
        if self.certificate is None:
            return http.client.HTTPConnection(self.address, CONSUL_HTTP, timeout=CALL_TIMEOUT_S)
        context = ssl.create_default_context(cafile=str(self.certificate.ca))
        context.load_cert_chain(self.certificate.cert, self.certificate.key)
        return http.client.HTTPSConnection(self.address, CONSUL_HTTPS, timeout=CALL_TIMEOUT_S, context=context)

    def _answers(self) -> bool:
        if not self.running:
            raise HAError(f"Consul's {self.name} ended at its start: {self._child.last_words()}")
        with suppress(ConsulError):
            return self.ask("/v1/status/leader") is not None
        return False

    def _sources(self, files: Sequence[Path]) -> list[str]:
        own = self.directory / "sandbox.json"
        own.touch(mode=0o600)
        own.write_text(json.dumps(self._settings, indent=1))
        return [argument for file in (*files, own) for argument in ("-config-file", str(file))]


def _settings(name: str, address: str, data: Path) -> dict[str, Any]:
    return {
        "node_name": name,
        "bind_addr": address,
        "client_addr": address,
        "data_dir": str(data),
        "leave_on_terminate": False,
        "disable_update_check": True,
        "log_level": "debug",  # what a handler prints is logged at this level only
        "performance": {"raft_multiplier": 1},
        "ports": PORTS,
        "retry_interval": "1s",
    }


def _tls_settings(certificate: Certificate | None) -> dict[str, Any]:
    """Return the settings of an agent that encrypts everything, and asks everybody for a certificate."""
    if certificate is None:
        return {}
    return {
        "ca_file": str(certificate.ca),
        "cert_file": str(certificate.cert),
        "key_file": str(certificate.key),
        "verify_incoming": True,
        "verify_outgoing": True,
        "ports": {**PORTS, "http": -1, "https": CONSUL_HTTPS},
    }


def commands_path() -> str:
    """Return the PATH that an agent needs: Consul looks its scripts up in it, and ours stand by the interpreter."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


class Datacenter:
    """Consul servers with their clients, as one cluster. `new_agent` makes one, from Agent's arguments.

    With `tls` a CA of its own signs a certificate for each agent, whoever asks one needs a certificate of that CA,
    and gossip is encrypted. `key_list_policy` is `acl.enable_key_list_policy`, off as Consul has it.
    """

    def __init__(
        self,
        directory: Path,
        network: Network,
        *,
        servers: int = 1,
        acl: bool = False,
        tls: bool = False,
        key_list_policy: bool = False,
        new_agent: Callable[..., Agent] = Agent,
    ) -> None:
        self.directory = directory
        self.authority = Authority(directory / "ca") if tls else None
        self._gossip = {"encrypt": self.authority.gossip_key()} if self.authority else {}
        self._new_agent = new_agent
        self.network = network
        self.acl = acl
        self._key_list_policy = key_list_policy
        self.management_token = ""
        self.clients: dict[str, Agent] = {}
        self._addresses = [network.server(number + 1) for number in range(servers)]
        self.servers = [self._server(number) for number in range(servers)]

    def start(self) -> None:
        """Start the servers and wait until they have a leader (and, under ACLs, the first token)."""
        for server in self.servers:
            server.start()
        self.await_leader()
        if self.acl:
            self._bootstrap()
        self.await_members()

    def client(
        self,
        name: str,
        address: str,
        *,
        files: Sequence[Path] = (),
        settings: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        policies: Sequence[str] = (),
    ) -> Agent:
        """Return a new client agent, not started. Under ACLs it gets a token with its node's identity.

        `files` are loaded before the sandbox's own, `settings` go into the latter; `environ` is added to
        the environment of the agent, and so of its scripts; `policies` are names of `define_policy`.
        """
        token = self.token(name, policies, node=name) if self.acl else ""
        own = {"retry_join": self._addresses, **self._gossip, **self._acl_settings(token), **(settings or {})}
        certificate = self.authority.client(address) if self.authority else None
        agent = self._new_agent(name, address, self.directory, own, files, environ, token, certificate)
        self.clients[name] = agent
        return agent

    def define_policy(self, name: str, rules: str) -> None:
        """Create an ACL policy."""
        self.ask("/v1/acl/policy", method="PUT", body={"Name": name, "Rules": rules})

    def token(self, description: str, policies: Sequence[str] = (), node: str = "") -> str:
        """Create a token with these policies, and the identity of a node, and return its secret."""
        body: dict[str, Any] = {
            "Description": description,
            "Policies": [{"Name": policy} for policy in policies],
            "NodeIdentities": [{"NodeName": node, "Datacenter": "dc1"}] if node else [],
        }
        return str(self.ask("/v1/acl/token", method="PUT", body=body)["SecretID"])

    def ask(self, path: str, *, method: str = "GET", body: Any = None) -> Any:
        """Ask the first server that answers, with all rights. Raises ConsulError."""
        return self._answering().ask(path, method=method, body=body, token=self.management_token)

    def await_leader(self, within_s: float = PATIENCE_S) -> str:
        """Wait until the running servers agree on a leader, and return its address."""
        return until(self._leader, "a leader of Consul", within_s)

    def await_members(self, within_s: float = PATIENCE_S) -> None:
        """Wait until every agent that runs is alive for all others, and in the catalog."""
        until(self._all_known, "all Consul agents to be alive", within_s, every_s=0.1)

    def await_whole(self, within_s: float = RECONNECTED_S) -> None:
        """Wait until the running servers are peers under one leader, and all running agents healthy in the catalog.

        For after a loss. What each agent thinks of the others is not asked then: a server that its peers have removed
        and taken back can stay "leaving" for some agent for ever (Consul 1.8).
        """
        try:
            until(self._is_whole, "Consul to be whole again", within_s, every_s=0.1)
        except HAError as error:
            raise HAError(f"{error.message}: {self._in_words()}") from error

    def stop(self) -> None:
        """End all agents, the clients first."""
        for agent in (*self.clients.values(), *self.servers):
            agent.kill()

    @property
    def leader(self) -> Agent:
        """The server that leads now."""
        address = self.await_leader().partition(":")[0]
        return next(server for server in self.servers if server.address == address)

    def _server(self, number: int) -> Agent:
        own = {
            "server": True,
            "bootstrap_expect": len(self._addresses),
            "retry_join": self._addresses,
            **self._gossip,
            **self._acl_settings(""),
        }
        name, address = f"server-{number + 1}", self._addresses[number]
        certificate = self.authority.server(address) if self.authority else None
        return self._new_agent(name, address, self.directory, own, (), None, "", certificate)

    def _acl_settings(self, token: str) -> dict[str, Any]:
        if not self.acl:
            return {}
        tokens = {"agent": token, "default": token} if token else {}
        return {
            "acl": {
                "enabled": True,
                "default_policy": "deny",
                "enable_token_persistence": True,
                "enable_key_list_policy": self._key_list_policy,
                "tokens": tokens,
            }
        }

    def _bootstrap(self) -> None:
        self.management_token = until(self._first_token, "Consul's ACL system")
        until(self._all_have_acls, "every Consul server to have the ACL system", every_s=0.1)
        for server in self.servers:
            token = self.token(server.name, node=server.name)
            server.token = token
            server.ask("/v1/agent/token/agent", method="PUT", body={"Token": token}, token=self.management_token)

    def _answering(self) -> Agent:
        for server in self.servers:
            with suppress(ConsulError):
                server.ask("/v1/status/leader")
                return server
        raise ConsulError("none of the Consul servers answers")

    def _first_token(self) -> str:
        with suppress(ConsulError):
            return str(self.leader.ask("/v1/acl/bootstrap", method="PUT")["SecretID"])
        return ""

    def _all_have_acls(self) -> bool:
        # A follower begins in "legacy mode", and learns some moments later that all servers know the new one.
        with suppress(ConsulError):
            return all(server.ask("/v1/acl/policies", token=self.management_token) for server in self.servers)
        return False

    def _leader(self) -> str:
        with suppress(ConsulError):
            named = {server.ask("/v1/status/leader") for server in self.servers if server.running}
            return str(named.pop()) if len(named) == 1 else ""
        return ""

    def _is_whole(self) -> bool:
        servers = [server for server in self.servers if server.running]
        with suppress(ConsulError):
            peers = [server.ask("/v1/status/peers") for server in servers]
            return bool(self._leader()) and all(len(found) == len(peers) for found in peers) and self._all_healthy()
        return False

    def _in_words(self) -> str:
        """Return what each running server says of its peers, and who is not healthy."""
        said = []
        for server in self.servers:
            with suppress(ConsulError):
                peers = server.ask("/v1/status/peers")
                said.append(
                    f"{server.name} has {len(peers)} peers under {server.ask('/v1/status/leader') or 'nobody'}"
                )
        with suppress(ConsulError):
            said.append(f"not healthy: {', '.join(sorted(self._unhealthy())) or 'nobody'}")
        return "; ".join(said)

    def _all_known(self) -> bool:
        with suppress(ConsulError):
            names = {agent.name for agent in self._running}
            return self._all_healthy() and all(names <= self._alive_for(agent) for agent in self._running)
        return False

    def _all_healthy(self) -> bool:
        return not self._unhealthy()

    def _unhealthy(self) -> set[str]:
        passing = self.ask("/v1/health/state/passing")
        healthy = {check["Node"] for check in passing if check["CheckID"] == "serfHealth"}
        return {agent.name for agent in self._running} - healthy

    @property
    def _running(self) -> Sequence[Agent]:
        return [agent for agent in (*self.servers, *self.clients.values()) if agent.running]

    def _alive_for(self, agent: Agent) -> set[str]:
        members = agent.ask("/v1/agent/members", token=self.management_token)
        return {member["Name"] for member in members if member["Status"] == 1}
