"""What every test shares: how hard hypothesis tries."""

from hypothesis import settings

# No deadline: a slow or busy machine must not turn a test red. The database lies in .hypothesis/, out of git.
settings.register_profile("house", deadline=None, max_examples=50, print_blob=True)
settings.load_profile("house")
