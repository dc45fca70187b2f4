"""The people in the tests, the same everywhere: Alice owns, Bob is a member, Charlie is a stranger."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from projects.models import Presenter, Project, Role, Script, Team
from tests import factories


@pytest.fixture
def alice(db: None) -> User:
    """Owns ``team``."""
    return factories.user("alice")


@pytest.fixture
def team(alice: User) -> Team:
    return factories.team("Alice's team", owner=alice)


@pytest.fixture
def bob(team: Team) -> User:
    """A creator in ``team``: makes and changes things, but does not run it."""
    return factories.member(team, Role.CREATOR, "bob")


@pytest.fixture
def mona(team: Team) -> User:
    """A manager of ``team``."""
    return factories.member(team, Role.MANAGER, "mona")


@pytest.fixture
def rita(team: Team) -> User:
    """A reviewer in ``team``: publishes, but does not make."""
    return factories.member(team, Role.REVIEWER, "rita")


@pytest.fixture
def victor(team: Team) -> User:
    """A viewer in ``team``: looks."""
    return factories.member(team, Role.VIEWER, "victor")


@pytest.fixture
def charlie(db: None) -> User:
    """Owns another team and is a stranger to ``team``."""
    person = factories.user("charlie")
    factories.team("Charlie's team", owner=person)
    return person


@pytest.fixture
def presenter(team: Team) -> Presenter:
    return factories.presenter(team, "Ada")


@pytest.fixture
def script(team: Team) -> Script:
    return factories.script(team, "Greeting")


@pytest.fixture
def project(team: Team, presenter: Presenter, script: Script) -> Project:
    return factories.project(team, "Spring", presenters=[presenter], scripts=[script])


def browser(user: User | None = None) -> Client:
    """A client that is signed in as ``user``, or nobody."""
    client = Client()
    if user is not None:
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client
