"""What is kept of the API's objects: one module a kind, each with a small frozen record and its reader. No I/O."""
