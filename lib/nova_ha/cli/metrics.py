"""`nova-ha metrics`: figures for Prometheus."""

from __future__ import annotations

import click

from nova_ha.cli.means import Means, pass_means


@click.command("metrics")
@pass_means
def metrics(means: Means) -> None:
    """Print figures in Prometheus' text format, read once from Consul: for node_exporter's textfile collector.

    \b
      nova-ha metrics > /var/lib/node_exporter/nova-ha.prom.new &&
          mv /var/lib/node_exporter/nova-ha.prom.new /var/lib/node_exporter/nova-ha.prom
    """
    from nova_ha.cli.exposition import figures, text
    from nova_ha.cli.incidents import latest_incidents
    from nova_ha.cli.look import look

    store = means.store()
    seen = look(store, means.clock.now())
    click.echo(text(figures(seen, latest_incidents(store, seen.view))), nl=False)
