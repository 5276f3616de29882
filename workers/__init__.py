"""Standalone processes: they know ports, not adapters, and no GraphQL."""
