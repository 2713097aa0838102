"""Starting the parts of the stack: database, message bus, APIs, Nova's daemons."""

from __future__ import annotations

import getpass
import socket
import urllib.error
import urllib.request
from pathlib import Path

from kit.stack.configuration import write_host
from kit.stack.layout import (
    ADDRESS,
    APIS,
    BIN,
    EPMD_PORT,
    ETC,
    HERE,
    LOG,
    RABBIT_DISTRIBUTION_PORT,
    RABBIT_PORT,
    SOCKET,
    STATE,
)
from kit.stack.process import start, wait_for

RABBIT = STATE / "rabbit"


def start_database() -> None:
    """Start MariaDB, which listens on a socket only and takes no care of its data."""
    options = {
        "user": getpass.getuser(),
        "datadir": f"{STATE}/db",
        "socket": SOCKET,
        "pid-file": f"{STATE}/db.pid",
        "max-connections": 1000,
        "innodb-buffer-pool-size": "256M",
        "innodb-log-file-size": "64M",
        "innodb-flush-log-at-trx-commit": 0,
        "innodb-doublewrite": 0,
    }
    given = [f"--{name}={value}" for name, value in options.items()]
    start("mariadb", ["/usr/sbin/mariadbd", "--no-defaults", *given, "--skip-networking", "--skip-log-bin"])
    wait_for("mariadb", SOCKET.exists, ["mariadb"])


def start_rabbit() -> None:
    """Start RabbitMQ with an epmd of its own."""
    RABBIT.mkdir(exist_ok=True)
    (ETC / "enabled_plugins").write_text("[].\n")
    start("epmd", ["epmd", "-address", ADDRESS, "-port", str(EPMD_PORT)])
    wait_for("epmd", lambda: listens(EPMD_PORT), ["epmd"])
    start("rabbitmq", ["/usr/lib/rabbitmq/bin/rabbitmq-server"], rabbit_environ())


def rabbit_environ() -> dict[str, str | Path]:
    """Return what keeps it to our address and folder. One scheduler thread that does not spin while idle."""
    address = "{" + ADDRESS.replace(".", ",") + "}"
    idle = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
    return {
        "HOME": RABBIT,
        "RABBITMQ_USE_LONGNAME": "true",
        "RABBITMQ_NODENAME": f"nova-ha-stack@{ADDRESS}",
        "RABBITMQ_NODE_IP_ADDRESS": ADDRESS,
        "RABBITMQ_NODE_PORT": str(RABBIT_PORT),
        "RABBITMQ_DIST_PORT": str(RABBIT_DISTRIBUTION_PORT),
        "RABBITMQ_MNESIA_BASE": RABBIT,
        "RABBITMQ_LOG_BASE": LOG,
        "RABBITMQ_CONFIG_FILE": ETC / "rabbitmq",
        "RABBITMQ_CONF_ENV_FILE": ETC / "rabbitmq-env.conf",
        "RABBITMQ_ENABLED_PLUGINS_FILE": ETC / "enabled_plugins",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {address} {idle}",
        "ERL_EPMD_ADDRESS": ADDRESS,
        "ERL_EPMD_PORT": str(EPMD_PORT),
    }


def start_api(name: str) -> None:
    """Start one of the HTTP services."""
    folders = {f"OS_{project}_CONFIG_DIR": ETC for project in ("KEYSTONE", "PLACEMENT", "GLANCE", "NEUTRON", "NOVA")}
    api = APIS[name]
    start(
        name,
        [BIN / "python", HERE / "serve.py", api.module, ADDRESS, str(api.port)],
        {**folders, "OS_NEUTRON_CONFIG_FILES": "neutron.conf"},
    )


def start_nova(name: str) -> None:
    """Start nova-conductor or nova-scheduler."""
    start(name, [BIN / name, "--config-file", ETC / "nova.conf"])


def start_compute(host: str) -> None:
    """Start the nova-compute of a host, with a node identity of its own."""
    home = STATE / host
    home.mkdir(exist_ok=True)
    own = write_host(host, home)
    start(host, [BIN / "python", "-B", HERE / "guests.py", "--config-file", ETC / "nova.conf", "--config-file", own])


def listens(port: int) -> bool:
    """True where something listens at the port."""
    with socket.socket() as trial:
        return trial.connect_ex((ADDRESS, port)) == 0


def answers(name: str) -> bool:
    """True once the API answers at all: 300 and 401 are answers."""
    try:
        urllib.request.urlopen(f"http://{ADDRESS}:{APIS[name].port}/", timeout=5).close()
    except urllib.error.HTTPError as answer:
        answer.close()
    except OSError:
        return False
    return True
