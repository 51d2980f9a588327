"""Real Redis processes for tests: one, a replicated set with sentinels, a Cluster, TLS, ACL users.

Plain context managers: no test framework is needed to use them.
"""
