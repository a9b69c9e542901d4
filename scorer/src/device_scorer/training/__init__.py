"""Training of models from the readings in a store.

The command line belongs to cli.
"""
