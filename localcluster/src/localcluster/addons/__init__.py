"""Services next to a cluster: Azurite, an OCI registry, and Karpenter as its autoscaler.

A cluster runs without them, so `localcluster up` starts none of them.
"""
