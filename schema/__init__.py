"""The shape that clients see: types, inputs, payloads. No rules, no queries, no SQL."""
