"""The choice of the store that the settings name.

The imports are in the functions: a process needs one of the stores.
"""

from device_scorer.settings import Settings
from device_scorer.store.base import Store
from device_scorer.store.retry import DEFAULT_RETRY_POLICY, RetryPolicy


def open_store(settings: Settings, retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY) -> Store:
    """Return the store that the settings name, for commands that list metadata or create containers.

    Args:
        settings: The settings.
        retry_policy: The limits of one call of Blob Storage.

    Raises:
        UsageInvalid: The settings of Blob Storage are invalid.
    """
    if settings.folder is not None:
        from device_scorer.store.folder import FolderStore  # noqa: PLC0415

        return FolderStore(settings.folder)
    from device_scorer.store.azure import open_azure_store  # noqa: PLC0415

    return open_azure_store(settings, retry_policy)


def open_scoring_store(settings: Settings, retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY) -> Store:
    """Return the store that the settings name, for scoring: it starts faster, and opens the other one if needed.

    Args:
        settings: The settings.
        retry_policy: The limits of one call of Blob Storage.

    Raises:
        UsageInvalid: The settings of Blob Storage are invalid.
    """
    if settings.folder is not None:
        return open_store(settings, retry_policy)
    from device_scorer.store.obstore_store import open_obstore_store  # noqa: PLC0415

    return open_obstore_store(settings, retry_policy)
