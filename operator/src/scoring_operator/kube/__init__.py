"""The client of the Kubernetes API server: requests, retries, informer, leader election.

Nothing here knows about devices or scoring.
"""
