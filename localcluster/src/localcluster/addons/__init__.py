"""Services next to a cluster: Azurite, an OCI registry, the autoscaler Karpenter, and the queue Kueue.

A cluster runs without them, so `localcluster up` starts none of them.
"""
