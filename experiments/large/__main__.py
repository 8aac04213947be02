"""`python -m experiments.large`."""

from experiments.large.main import main

if __name__ == "__main__":
    raise SystemExit(main())
