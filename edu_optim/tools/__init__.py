"""Chores of those who write the course: see ``python -m edu_optim --help``."""
