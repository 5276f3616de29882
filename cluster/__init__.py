"""The distributed profile on one machine: real daprd and Kafka, for development and tests.

Part of the repository, not of the wheel.
"""
