"""Looks: how particles see the other player, find their forces and move along them."""
