"""What a lesson claims beyond its own settings, tried elsewhere; each docstring quotes the sentences it tests."""
