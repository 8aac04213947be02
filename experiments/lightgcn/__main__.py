"""`python -m experiments.lightgcn`."""

from experiments.lightgcn.main import main

if __name__ == "__main__":
    raise SystemExit(main())
