"""`python -m experiments.planetoid`."""

from experiments.planetoid.main import main

if __name__ == "__main__":
    raise SystemExit(main())
