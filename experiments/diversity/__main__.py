"""`python -m experiments.diversity`."""

from experiments.diversity.main import main

if __name__ == "__main__":
    raise SystemExit(main())
