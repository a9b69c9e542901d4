"""The contract between scorer and operator: blob paths, the outcome message, the run's saved state.

Both programs implement it independently, and tests/contract compares them.
"""
