"""The log of one run: entries, cursors, who reads and who writes it, and what a store is."""
