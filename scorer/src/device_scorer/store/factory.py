"""Create the store that the settings select."""

from device_scorer.settings import Settings
from device_scorer.store.base import Store


def open_store(settings: Settings) -> Store:
    """The store that the settings name."""
    if settings.folder is not None:
        from device_scorer.store.folder import FolderStore  # noqa: PLC0415  a pod on Azure needs no folder store

        return FolderStore(settings.folder)
    from device_scorer.store.azure import AzureStore  # noqa: PLC0415  a laptop's folder needs no network

    return AzureStore(settings)
