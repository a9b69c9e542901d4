"""Entry point of `python -m`: the command line of device-scorer."""

from device_scorer.cli import main

if __name__ == "__main__":
    main()
