"""The contract between operator and scorer: names of blobs, command line, environment, exit codes, outcome message.

Both programs implement the contract independently, and tests/contract compares them.
"""
