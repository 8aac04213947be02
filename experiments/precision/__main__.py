"""`python -m experiments.precision`."""

from experiments.precision.main import main

if __name__ == "__main__":
    raise SystemExit(main())
