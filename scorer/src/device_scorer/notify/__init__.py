"""Notifications about incidents and runs: the receivers, the messages in their formats, the outbox and the delivery.

The report decides which notices are due; this package does not read predictions or history.
"""
