"""The storm guard: how many compute nodes fail together, and how many of them are believed."""

from __future__ import annotations

from datetime import datetime

from nova_ha.cluster.together import Together, before_any_is_set_failed
from nova_ha.cluster.view import ClusterView
from nova_ha.probe.failing import failing_now
from nova_ha.probe.votes import Votes


def storm(view: ClusterView, votes: Votes, now: datetime) -> Together:
    """Return who counts now: each node once, whatever it counts for."""
    return before_any_is_set_failed(view, now, failing_now(view, votes, now))
