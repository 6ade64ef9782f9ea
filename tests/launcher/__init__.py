"""The launcher against agents that misbehave, and against none."""
