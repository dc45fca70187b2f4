"""What machines do, for programs: the same access, selectors and services as the pages."""
