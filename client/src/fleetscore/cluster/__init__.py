"""The cluster as the client reads and changes it: runs, schedules, fleets and pods. It knows nothing of storage."""
