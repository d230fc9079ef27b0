"""Say whether a reader's answer is right, and if not, which mistake it is."""

from .judge import Verdict, check, hint

__all__ = ["Verdict", "check", "hint"]
