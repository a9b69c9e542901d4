"""The control plane of a cluster, its certificates and a client of its API server.

Nodes and the sequence that creates a cluster live elsewhere.
"""
