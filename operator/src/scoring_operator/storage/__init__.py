"""Access to the fleet's Blob Storage: lists of devices, readings and predictions.

Only account.py imports the Azure SDK. Decisions about devices live elsewhere.
"""
