"""Say whether a reader's answer is right, and if not, what it does instead."""

from .judge import Verdict, check, hint

__all__ = ["Verdict", "check", "hint"]
