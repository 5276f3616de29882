"""Adapters that speak to a Dapr sidecar."""
