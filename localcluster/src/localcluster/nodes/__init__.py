"""The nodes of a cluster: containers on this machine, or objects that kwok simulates.

The control plane lives elsewhere.
"""
