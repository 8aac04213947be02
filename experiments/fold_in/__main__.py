"""`python -m experiments.fold_in`."""

from experiments.fold_in.main import main

if __name__ == "__main__":
    raise SystemExit(main())
