"""The chains of the table, one module each: rules from settings, with their reasons."""
