"""`python -m experiments.rating`."""

from experiments.rating.main import main

if __name__ == "__main__":
    raise SystemExit(main())
