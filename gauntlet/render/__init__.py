"""Messages as something a person likes to read: pure functions from protobuf to rich renderables."""
