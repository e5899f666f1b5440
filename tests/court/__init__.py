"""Tests of the court, on Anvil: the contract and its twin, stepped together."""
