"""``./heygem doctor``: looks at everything the site stands on, and says what to do about what is wrong."""
