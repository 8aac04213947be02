"""`python -m experiments.mesh`."""

from experiments.mesh.main import main

if __name__ == "__main__":
    raise SystemExit(main())
