"""The benchmark: latency of each stage and end to end."""
