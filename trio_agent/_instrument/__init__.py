"""Instruments: what is told of runs, steps, model calls and tools to those who measure them."""
