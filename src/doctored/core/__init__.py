"""Errors, pictures, results and the table of the 385 manipulation classes."""
