"""The client of the Kubernetes API server: requests, retries, informer, leader election.

Code that knows devices, runs or Jobs lives elsewhere.
"""
