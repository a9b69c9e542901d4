"""The report of a window: collection, statistics and the HTML page.

The command line lives in cli.
"""
