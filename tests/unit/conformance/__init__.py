"""The pure parts of the conformance tests."""
