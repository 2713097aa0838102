"""Real guests: compute hosts with libvirt and QEMU, on the control plane of `kit.stack`, in a network of their own.

    python -m kit.guests run pytest tests/guests        with PYTHONPATH=tests; as root, on Debian 12

A host is a cgroup with a mount, a UTS and a network namespace, on one switch with all others. What makes it one
machine: everything on it is killed or frozen at once, and one link cuts it off. In emulation: nothing needs KVM. All
of a run is in namespaces that end with it, so neither a process nor a mount nor an address of it can be left; its
cgroups are removed at its end, and what a killed run has left of them by the next one.

A guest is a kernel and busybox. It writes the next number to its disk five times a second, past all caches, and says
what else it finds there: see `guest-init`, and `disk` for what is read of it from outside.
"""
