"""The policies' table, without a kernel."""
