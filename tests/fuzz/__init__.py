"""Bad input: what may be said to it (`oracle`), how it is made (`inputs`, `mutations`), and the fuzz target.

Hypothesis uses the first two in the tiers `unit` and `netns`; `make fuzz` runs `target` with atheris.
"""
