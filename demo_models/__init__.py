"""Models without a key or a network: rules, a grammar, and espeak-ng.

They need only this folder and the packages of the group ``agent``, so they can be copied.
"""
