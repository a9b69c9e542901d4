"""The client's half of the contract: windows, blob names, fleets and the letters of device states. It does no I/O.

The operator and the scorer have their own halves; tests/contract compares them.
"""
