"""A Kubernetes cluster on one Debian machine, built from pinned sources.

`localcluster up` builds missing tools (toolchain/), starts a control plane (kubernetes/) and adds nodes (nodes/): one
whose pods are containers, simulated ones, or none. `localcluster down` removes everything except the cache of built
tools. One machine can run several clusters. Each cluster has a name, a slot of ports and addresses (allocation.py), a
folder (paths.py) and marked processes (processes.py).

The package does not know fleets, scoring or the operator.
"""
