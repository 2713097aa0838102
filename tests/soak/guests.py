"""What the servers of a host have, or do, at the moment when it fails."""

from __future__ import annotations

from nova_ha.cluster.schema import STORAGE, compute_node

from soak.plan import HA_NODES, HOSTS, Strike
from soak.site import Site


def migrate_away(site: Site, strike: Strike) -> bool:
    """Let one of its servers be in live migration, and its guest run on the other host already, or here still."""
    elsewhere = [name for name in (*HA_NODES, *HOSTS) if name != strike.host]
    server = site.cloud.servers_of(site.machine(strike.host))[0]
    handed_over = strike.variant % 2 == 0
    site.cloud.openstack.migrate(server, elsewhere[strike.variant % len(elsewhere)], handed_over=handed_over)
    return True


def migrate_here(site: Site, strike: Strike) -> bool:
    """Let another host's server be on its way here."""
    others = [name for name in HOSTS if name != strike.host]
    source = others[strike.variant % len(others)]
    server = site.cloud.openstack.add_server(source, f"{source}-on-its-way")
    site.cloud.lodge(site.machine(strike.host), server)
    site.cloud.openstack.migrate(server, strike.host)
    return True


def keep_disks(site: Site, strike: Strike) -> bool:
    """Let it share no storage, as its keys say; one of its servers is on a volume."""
    site.cloud.openstack.change_host(strike.host, shares_disks=False)
    site.cloud.openstack.change_server(site.cloud.servers_of(site.machine(strike.host))[0], on_volume=True)
    return site.overwrite(compute_node(strike.host, STORAGE), b"local")


def share_disks(site: Site, strike: Strike) -> None:
    """Let it share storage with the others again."""
    site.cloud.openstack.change_host(strike.host, shares_disks=True)
    site.write_again(compute_node(strike.host, STORAGE))
