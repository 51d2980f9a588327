"""A front end of your own, with its token server; see ``docs/binding.md``."""
