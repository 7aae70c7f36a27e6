"""What the chain costs on this machine: `python -m benchmarks` measures with real processes on real files."""
