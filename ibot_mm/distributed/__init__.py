"""Start processes, look behind wrappers, shard networks."""
