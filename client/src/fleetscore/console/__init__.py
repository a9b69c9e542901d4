"""The console: pages of a fleet in a browser, for one user on this machine. It only reads."""
