"""The choice of the store that the settings name."""

from device_scorer.settings import Settings
from device_scorer.store.base import Store
from device_scorer.store.retry import DEFAULT_RETRY_POLICY, RetryPolicy


def open_store(settings: Settings, retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY) -> Store:
    """Return the store that the settings name.

    Args:
        settings: The settings.
        retry_policy: The limits of one call of Blob Storage.

    Raises:
        UsageInvalid: The settings of Blob Storage are invalid.
    """
    if settings.folder is not None:
        from device_scorer.store.folder import FolderStore  # noqa: PLC0415  a pod on Azure does not need this import

        return FolderStore(settings.folder)
    from device_scorer.store.azure import open_azure_store  # noqa: PLC0415  a local folder does not need the Azure SDK

    return open_azure_store(settings, retry_policy)
