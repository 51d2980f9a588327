"""The store beside a raw pipeline and the sessions of openai-agents, on one Redis."""
