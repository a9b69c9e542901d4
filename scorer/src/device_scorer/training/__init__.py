"""Training of models from the readings in a store.

The command line lives in cli.
"""
