"""What a mistake of ours raises. It must not end a part's thread, which would not be started again."""

from __future__ import annotations

MISTAKES = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
