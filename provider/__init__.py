"""The agent that runs jobs, and the engine."""
