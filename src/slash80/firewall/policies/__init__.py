"""The policies' table, beside the base one: written from rules, read back, looked after, and connections that end."""
