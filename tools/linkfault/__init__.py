"""A TCP proxy that stands for a bad network. It knows nothing of AIVD: tests, benchmarks and the demo run it."""
