"""`python -m experiments.overview`."""

from experiments.overview.main import main

if __name__ == "__main__":
    raise SystemExit(main())
