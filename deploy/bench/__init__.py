"""The benchmark: what each stage takes, and what a user waits in all."""
