"""Conversion of foreign data: CSV dumps and models of the original sample.

The command line lives in cli.
"""
