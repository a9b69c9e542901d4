"""The baseline of the scorer: the steps of the original predict.py with the pinned packages.

The script reads the shared CSV. For each tag of the device it loads the pickled model, selects the rows, predicts and
writes a CSV. One process scores all tags of a device, so the baseline pays for imports and download once.
"""

import io
import os
import pickle
import sys

import pandas as pd
from azure.storage.blob import BlobServiceClient


def main(device: str, tags: list[str]) -> None:
    """Score a device as the original does, with the connection string of the environment."""
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
