"""The configuration files of the stack's services, and of its clients."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from kit.stack.layout import (
    ACCESS,
    ADDRESS,
    AUTH_URL,
    CLOUD,
    CLOUDS_YAML,
    ETC,
    PASSWORD,
    RABBIT_URL,
    REGION,
    REPORT_INTERVAL_S,
    SERVICE_DOWN_TIME_S,
    SOCKET,
    STATE,
    VENV,
)

POOL = "max_pool_size = 20\nmax_overflow = 50"
CREDENTIALS = f"""auth_url = {AUTH_URL}
auth_type = password
username = service
password = {PASSWORD}
project_name = service
user_domain_id = default
project_domain_id = default
region_name = {REGION}"""
AUTHTOKEN = f"""[keystone_authtoken]
www_authenticate_uri = {AUTH_URL}
service_token_roles_required = true
{CREDENTIALS}"""


def database(name: str) -> str:
    """Return the URL of a database."""
    return f"mysql+pymysql://root@localhost/{name}?unix_socket={SOCKET}&charset=utf8mb4"


FILES = {
    # Its user `guest` may come from loopback only, which real hosts do not.
    "rabbitmq.conf": "loopback_users = none\n",
    # Cheap password hashes: this cloud holds no secrets, and CPU time is scarce.
    "keystone.conf": f"""[database]
connection = {database("keystone")}
{POOL}
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = oslo_cache.dict
[fernet_tokens]
key_repository = {STATE}/fernet
[fernet_receipts]
key_repository = {STATE}/fernet
""",
    "placement.conf": f"""[api]
auth_strategy = keystone
[placement_database]
connection = {database("placement")}
{POOL}
{AUTHTOKEN}
""",
    "glance-api.conf": f"""[DEFAULT]
enabled_backends = files:file
[database]
connection = {database("glance")}
{POOL}
[paste_deploy]
flavor = keystone
config_file = {VENV}/etc/glance/glance-api-paste.ini
[glance_store]
default_backend = files
[files]
filesystem_store_datadir = {STATE}/images
[os_glance_staging_store]
filesystem_store_datadir = {STATE}/images/staging
[os_glance_tasks_store]
filesystem_store_datadir = {STATE}/images/tasks
{AUTHTOKEN}
""",
    "neutron.conf": f"""[DEFAULT]
core_plugin = ml2
service_plugins =
api_paste_config = {VENV}/etc/neutron/api-paste.ini
transport_url = {RABBIT_URL}
state_path = {STATE}/neutron
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
[ml2]
type_drivers = local
tenant_network_types = local
mechanism_drivers =
[database]
connection = {database("neutron")}
{POOL}
[oslo_concurrency]
lock_path = {STATE}/neutron/lock
{AUTHTOKEN}
""",
    # Periodic tasks, of which the discovery of hosts is one, would first wait up to a minute. Shelved servers stay on
    # their host until they are offloaded, and deleted ones can be restored for an hour.
    "nova.conf": f"""[DEFAULT]
host = controller
my_ip = {ADDRESS}
transport_url = {RABBIT_URL}
state_path = {STATE}/nova
compute_driver = guests.Driver
report_interval = {REPORT_INTERVAL_S}
service_down_time = {SERVICE_DOWN_TIME_S}
periodic_fuzzy_delay = 0
heal_instance_info_cache_interval = -1
shelved_offload_time = -1
reclaim_instance_interval = 3600
[api_database]
connection = {database("nova_api")}
{POOL}
[database]
connection = {database("nova")}
{POOL}
[conductor]
workers = 1
[scheduler]
workers = 1
discover_hosts_in_cells_interval = 2
[quota]
instances = -1
cores = -1
ram = -1
[vnc]
enabled = false
[oslo_concurrency]
lock_path = {STATE}/nova/lock
[placement]
{CREDENTIALS}
[neutron]
{CREDENTIALS}
[glance]
region_name = {REGION}
[service_user]
send_service_user_token = true
{CREDENTIALS}
{AUTHTOKEN}
""",
}


def write() -> None:
    """Write all of them, and the credentials of the cloud's admin."""
    for name, text in FILES.items():
        (ETC / name).write_text(text)
    shutil.copy(VENV / "etc/nova/api-paste.ini", ETC)
    auth = {key.removeprefix("OS_").lower(): value for key, value in ACCESS.items() if key != "OS_REGION_NAME"}
    # JSON is YAML.
    CLOUDS_YAML.write_text(json.dumps({"clouds": {CLOUD: {"region_name": REGION, "auth": auth}}}, indent=1))
    (STATE / "openrc").write_text("".join(f"export {key}={value}\n" for key, value in ACCESS.items()))


def write_host(name: str, home: Path) -> Path:
    """Write what is a compute host's own, and return the file."""
    own = ETC / f"{name}.conf"
    own.write_text(f"[DEFAULT]\nhost = {name}\nstate_path = {home}\n[oslo_concurrency]\nlock_path = {home}/lock\n")
    return own
