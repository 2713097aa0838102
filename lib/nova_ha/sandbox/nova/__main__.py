"""python -m nova_ha.sandbox.nova: the simulated OpenStack, until its standard input ends or on SIGTERM."""

from __future__ import annotations

import sys

from nova_ha.sandbox.nova.simulator import main

if __name__ == "__main__":
    sys.exit(main())
