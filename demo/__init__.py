"""The demo: all of Fleetscore with one command.

`python -m demo run` prepares readings and models (dataset.py). It connects to a Kubernetes cluster and a blob storage
(local_cluster.py, or remote_cluster.py for a cluster of the user). Then it installs the chart (install.py), follows a
ScoringRun (scoring_run.py), and checks and prints the results (evaluation.py, output.py). `python -m demo local` runs
only the scorer, in a folder (local_scoring.py).
"""
