"""The demo: the whole of Fleetscore, for real, by one command.

`python -m demo run` prepares readings and models (readings.py), gets a Kubernetes cluster and a blob storage
(local.py, or remote.py where the user has a cluster), installs the chart (install.py), follows a ScoringRun (follow.py)
and looks at what came of it (findings.py, report.py). `python -m demo local` does the scorer's part in a folder.
"""
