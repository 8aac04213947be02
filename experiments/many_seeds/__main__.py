"""`python -m experiments.many_seeds`."""

from experiments.many_seeds.main import main

if __name__ == "__main__":
    raise SystemExit(main())
