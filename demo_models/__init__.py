"""Models that need no key and no network: rules, a grammar, and espeak-ng."""
