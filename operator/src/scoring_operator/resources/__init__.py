"""Manifests and status that the operator writes: Jobs, ConfigMaps, events, conditions.

The controller decides when to write them, and kube sends them.
"""
