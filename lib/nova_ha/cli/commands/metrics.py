"""`nova-ha metrics`: figures for Prometheus."""

from __future__ import annotations

import click

from nova_ha.cli.clients import Clients, pass_clients


@click.command("metrics")
@pass_clients
def metrics(clients: Clients) -> None:
    """Print figures in Prometheus' text format, read once from Consul: for node_exporter's textfile collector.

    \b
      nova-ha metrics > /var/lib/node_exporter/nova-ha.prom.new &&
          mv /var/lib/node_exporter/nova-ha.prom.new /var/lib/node_exporter/nova-ha.prom
    """
    from nova_ha.cli.incidents import latest_incidents
    from nova_ha.cli.overview import look
    from nova_ha.cli.views.metrics import figures, text

    store = clients.store()
    seen = look(store, clients.clock.now())
    click.echo(text(figures(seen, latest_incidents(store, seen.view))), nl=False)
