"""Chores around the lessons: see ``python -m edu_optim --help``."""
