"""The unit tier: what can be tested without a kernel, a network or rights, mirroring the rooms of `src`."""
