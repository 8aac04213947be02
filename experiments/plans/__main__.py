"""`python -m experiments.plans`."""

from experiments.plans.main import main

if __name__ == "__main__":
    raise SystemExit(main())
