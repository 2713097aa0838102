"""Where the parts of the stack are: folders, address, ports, credentials."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOME = Path(os.environ.get("NOVA_STACK_HOME") or Path.home() / ".cache/nova-ha-stack").resolve()
VENV = HOME / "venv"
# Two clouds: that of the fake hypervisor, and that of `kit.guests`, which has a network and a state of its own.
LIBVIRT = os.environ.get("NOVA_STACK_HYPERVISOR") == "libvirt"
PLACE = HOME / "libvirt" if LIBVIRT else HOME
GOLDEN, STATE = PLACE / "golden", PLACE / "state"
BIN = VENV / "bin"
ETC, LOG, PID, GUESTS = STATE / "etc", STATE / "log", STATE / "pid", STATE / "guests"

# Neither localhost, where a real service may listen, nor a network that the sandbox gives out.
ADDRESS = "198.18.4.1" if LIBVIRT else "127.20.0.1"
# Nova's own timing; or, for the fake hypervisor, a report every second and not every 10 s, as kit.clouds.plan has it.
# A silent host is then down after 15 s (less is too little on a busy machine), not after a minute.
REPORT_INTERVAL_S, SERVICE_DOWN_TIME_S = (10, 60) if LIBVIRT else (1, 15)
REGION = "RegionOne"
# This cloud holds nothing, and only this machine reaches it.
PASSWORD = "secret"


@dataclass(frozen=True)
class API:
    """One of the HTTP services: its WSGI module, and what the catalog says of it."""

    module: str
    port: int
    kind: str
    path: str = ""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{ADDRESS}:{self.port}{self.path}"


APIS = {
    "keystone": API("keystone.wsgi.api", 5000, "identity", "/v3"),
    "placement": API("placement.wsgi.api", 8778, "placement"),
    "glance": API("glance.wsgi.api", 9292, "image"),
    "neutron": API("neutron.wsgi.api", 9696, "network"),
    "nova-api": API("nova.wsgi.osapi_compute", 8774, "compute", "/v2.1"),
}
AUTH_URL = APIS["keystone"].url
DATABASES = ("keystone", "placement", "glance", "neutron", "nova_api", "nova", "nova_cell0")
SOCKET = STATE / "db.sock"
RABBIT_PORT = 5672
# Not Erlang's usual ports, where another may be: epmd listens on 127.0.0.1 too, whatever it is told, and
# RabbitMQ 3.10 wants the port of its distribution to be free on every address. So neither is it one of those that
# the kernel gives to whoever asks for any (from 32768 on).
EPMD_PORT, RABBIT_DISTRIBUTION_PORT = 23691, 23692
RABBIT_URL = f"rabbit://guest:guest@{ADDRESS}:{RABBIT_PORT}/"
PORTS = (*(api.port for api in APIS.values()), RABBIT_PORT, RABBIT_DISTRIBUTION_PORT, EPMD_PORT)

CLOUD = "nova-stack"
CLOUDS_YAML = STATE / "clouds.yaml"
ACCESS = {
    "OS_AUTH_URL": AUTH_URL,
    "OS_USERNAME": "admin",
    "OS_PASSWORD": PASSWORD,
    "OS_PROJECT_NAME": "admin",
    "OS_USER_DOMAIN_ID": "default",
    "OS_PROJECT_DOMAIN_ID": "default",
    "OS_REGION_NAME": REGION,
}


def hosts(computes: int, ha: int) -> list[str]:
    """Return the names of so many compute hosts, and of so many for HA nodes."""
    return [*(f"compute-{n}" for n in range(1, computes + 1)), *(f"ha-{n}" for n in range(1, ha + 1))]
