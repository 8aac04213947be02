"""`python -m experiments.filters`."""

from experiments.filters.main import main

if __name__ == "__main__":
    raise SystemExit(main())
