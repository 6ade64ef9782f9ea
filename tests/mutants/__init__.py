"""Mutation testing: small faults put into a copy of the source one at a time, and whether a test fails for each."""
