"""`python -m experiments.accelerator`."""

from experiments.accelerator.main import main

if __name__ == "__main__":
    raise SystemExit(main())
