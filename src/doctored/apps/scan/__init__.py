"""Scans: from one picture to ten million, into a store that can be stopped and resumed."""
