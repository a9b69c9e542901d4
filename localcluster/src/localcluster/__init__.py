"""A real Kubernetes on one Debian machine that has none, from pinned sources.

`localcluster up` builds what is missing (tools.py), starts a control plane (controlplane.py) and gives it nodes: real
ones whose pods are containers (node.py), simulated ones (kwok.py), or none. `localcluster down` leaves nothing but
the cache of built tools. Several clusters stand side by side, told apart by name: each has its own slot of ports and
addresses (slots.py), its own directory (paths.py) and its own table of processes (processes.py).

What does not live here: anything that knows about fleets, scoring or the operator.
"""
