"""Other task queues, each in its documented best reasonable configuration.

`catalog` says what each is and how its workers start; a file per peer (`huey`, `saq`, ...) is its
application, as its own documentation would have it, in an environment of its own, where `produce` drives it.
"""
