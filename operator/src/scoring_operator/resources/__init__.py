"""Manifests and status that the operator writes: Jobs, ConfigMaps, events, conditions.

The controller decides when they are written and kube sends them.
"""
