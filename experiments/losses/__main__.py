"""`python -m experiments.losses`."""

from experiments.losses.main import main

if __name__ == "__main__":
    raise SystemExit(main())
