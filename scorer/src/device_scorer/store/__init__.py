"""Blob stores: the protocol, a folder, Azure Blob Storage, retries and uploads.

Only azure.py, azure_client.py and azure_errors.py import the Azure SDK, and only obstore_*.py import obstore.
"""
