"""The control plane of a cluster, its certificates and a client of its API server.

Nodes and the start of a whole cluster live elsewhere.
"""
