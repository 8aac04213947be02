"""`python -m experiments.spectral`."""

from experiments.spectral.main import main

if __name__ == "__main__":
    raise SystemExit(main())
