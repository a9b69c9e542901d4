"""The figures of docs/performance.md, each a ratio against something measured in the same minutes."""
