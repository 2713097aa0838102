"""A minimal real OpenStack on loopback: Keystone, Placement, Glance, Neutron and Nova; only the hypervisor is fake.

    python -m kit.stack up 4 3        with PYTHONPATH=tests; hosts compute-1..4 and ha-1..3
    python -m kit.stack down

It lives under $NOVA_STACK_HOME (~/.cache/nova-ha-stack): what was installed, freshly made databases, and `state/`,
which `up` makes anew. Its address is its own, so that it meets nothing else of this machine.
"""
