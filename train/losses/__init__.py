"""Losses of detectors and pose networks: one file per family, one function per loss.

A function gives one loss per element unless it says otherwise; the caller weights, sums and divides them. Half
precision is computed in fp32.
"""
