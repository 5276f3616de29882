"""GraphQL fields: read the input, call one service, return the payload."""
