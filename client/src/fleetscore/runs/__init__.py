"""Runs as the client reads and follows them: their state, their pace, their Jobs, and windows without a run.

The requests to the API server are in cluster, and the commands are in cli.
"""
