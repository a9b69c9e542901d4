"""Scoring of one device and of many in one process.

The command line lives in cli.
"""
