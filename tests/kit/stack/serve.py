"""Serve one WSGI application: serve.py MODULE ADDRESS PORT, by the stack's own Python.

The OpenStack APIs parse sys.argv themselves when they are imported, hence not the `waitress-serve` command.
"""

from __future__ import annotations

import importlib
import sys

import sqlalchemy.orm
import waitress

module, address, port = sys.argv[1:]
sys.argv = [module]
application = importlib.import_module(module).application
# Neutron 29 uses relations of its models that exist only once the mappers are configured, which otherwise happens
# at the first query of some other kind.
sqlalchemy.orm.configure_mappers()
waitress.serve(application, host=address, port=int(port), threads=16, clear_untrusted_proxy_headers=True)
