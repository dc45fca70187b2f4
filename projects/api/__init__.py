"""What people keep, for programs: the same access and services as the pages."""
