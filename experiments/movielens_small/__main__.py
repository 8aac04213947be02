"""`python -m experiments.movielens_small`."""

from experiments.movielens_small.main import main

if __name__ == "__main__":
    raise SystemExit(main())
