"""Composition root: settings become adapters, adapters become a running service."""
