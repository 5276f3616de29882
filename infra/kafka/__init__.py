"""Adapters that speak to Kafka."""
