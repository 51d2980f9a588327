"""A pipeline that needs no key and no network: rules, a grammar, and espeak-ng."""
