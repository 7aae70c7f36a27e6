"""The REST API of recordings: adapters that turn requests into calls of the core, and decide nothing else."""
