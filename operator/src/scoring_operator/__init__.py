"""The operator of Fleetscore: turns ScoringRuns into Jobs and their outcomes into status."""
