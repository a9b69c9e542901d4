"""The contract between operator and scorer: blob paths, the scorer's command line and environment, its outcome message.

Both programs implement it independently, and tests/contract compares them.
"""
