"""Adapters: each implements one port of the domain."""
