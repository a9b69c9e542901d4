"""Blob stores: the protocol, a folder, Azure Blob Storage, retries and uploads.

Only azure.py and azure_errors.py import the Azure SDK.
"""
