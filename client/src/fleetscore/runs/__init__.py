"""Runs as the client reads and follows them: their state, their pace, their Jobs, and windows without a run."""
