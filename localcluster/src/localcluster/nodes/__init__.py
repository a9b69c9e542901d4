"""The nodes of a cluster: containers on this machine, or objects that kwok simulates.

The control plane and the programs that a node runs live elsewhere.
"""
