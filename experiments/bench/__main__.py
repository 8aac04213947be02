"""`python -m experiments.bench`: set threads and allocator, restart the process, and measure."""

import sys

from experiments.bench.main import parse, run
from experiments.bench.process import start_again

if __name__ == "__main__":
    options = parse(sys.argv[1:])
    start_again(options.threads)
    raise SystemExit(run(options))
