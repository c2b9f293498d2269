"""`python -m benchmarks.sums`: what exact sums cost over plain ones, in one kernel, one thread.

The shipped kernels know no plain sum, so both are compiled here from the same headers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = Path(__file__).parent / "sums.cpp"
OPTIONS = (
    "-std=c++20 -O3 -march=native -mprefer-vector-width=512 -ffp-contract=off "
    "-fno-math-errno -fno-trapping-math -fopenmp-simd"
).split()


def main() -> int:
    """Compile, run, print one table."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "sums"
        cpp = PROGRAM.parents[1] / "cpp"
        sources = [PROGRAM, cpp / "exact_sum.cpp"]
        subprocess.run([*compiler(), *OPTIONS, "-I", cpp, *sources, "-o", program], check=True)
        print("losses of 10,000,000 rows and their sum · 1 thread · medians of 9\n", flush=True)
        subprocess.run([program], check=True)
    return 0


def compiler() -> list[str]:
    """Command of the compiler, as CMake would choose it."""
    return os.environ.get("CXX", "c++").split()


if __name__ == "__main__":
    sys.exit(main())
