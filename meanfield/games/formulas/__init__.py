"""Losses given as text: read, checked, differentiated exactly and compiled."""
