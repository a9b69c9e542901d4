"""The yardstick: the steps of the original's predict.py with today's pinned packages.

Read the shared CSV, then for each tag of the device: load its pickled model, select the rows, predict, write a CSV.
One process and one read for all tags of a device, so that the yardstick pays imports and download once.
"""

import io
import os
import pickle
import sys

import pandas as pd
from azure.storage.blob import BlobServiceClient


def main(device: str, tags: list[str]) -> None:
    """Score ``device`` as the original would; the connection string comes from the environment."""
    service = BlobServiceClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"])
    predictions = os.environ["FLEETSCORE_PREDICTIONS_CONTAINER"]
    text = (
        service.get_blob_client("data", os.environ.get("BENCH_SHARED_CSV", "sensor_data.csv")).download_blob().readall()
    )
    frame = pd.read_csv(io.BytesIO(text), dtype={"Device": str, "Tag": str})
    for tag in tags:
        model = pickle.loads(service.get_blob_client("models", f"model_{device}_{tag}").download_blob().readall())
        mine = frame[(frame["Device"] == device) & (frame["Tag"] == tag)].copy()
        mine["Prediction"] = (model.predict(mine[["Value"]].to_numpy()) == -1).astype(int)
        service.get_blob_client(predictions, f"{device}_{tag}.csv").upload_blob(
            mine.to_csv(index=False), overwrite=True
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
