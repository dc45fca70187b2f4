"""The library's pages: what they show to whom, that they keep up by themselves, and how much they ask the database."""

from __future__ import annotations

import pytest
from django.urls import reverse

from projects import selectors
from projects.models import AnalysisState, Membership, Role
from projects.services import footage, scripts, teams
from tests import factories
from tests.cast import browser


def shown(client, name: str, *args, query: str = "") -> str:
    answer = client.get(reverse(f"projects:{name}", args=args) + query)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def busy_team(team):
    """A bit of everything."""
    for name in ("Ada", "Ben", "Cleo"):
        presenter = factories.presenter(team, name)
        factories.footage(presenter, figures={"cv_open": 0.61, "io_px": 88.0})
        factories.footage(presenter, AnalysisState.RUNNING, stage="track", progress=50, **factories.leased())
        script = factories.script(team, f"{name}'s script")
        for language in ("en", "zh-hans"):
            factories.take(script, language)
    return team


def test_the_verdict_gives_the_reason_and_the_remedy(alice, presenter):
    factories.footage(presenter, AnalysisState.REFUSED, error_code="no_face", name="wall.mp4")
    page = shown(browser(alice), "presenter", presenter.public_id)
    assert "wall.mp4" in page
    assert "No face could be followed through the footage." in page
    assert "Use footage in which one face is seen" in page


def test_a_warning_is_shown_beside_what_kind_of_result_to_expect(alice, presenter):
    factories.footage(
        presenter, AnalysisState.WARNINGS, tier="B", findings=[{"code": "no_audio", "level": "warning", "figure": None}]
    )
    page = shown(browser(alice), "presenter", presenter.public_id)
    assert "Ready to render, with something to know." in page
    assert "Good: this presenter" in page
    assert "The file has no sound." in page


def test_a_match_that_cannot_be_scored_is_not_shown_as_a_score(alice, presenter):
    factories.footage(presenter, figures={"cv_open": 0.61})
    assert "0.61" in shown(browser(alice), "presenter", presenter.public_id)
    short = [{"code": "short_footage", "level": "warning", "figure": 6.0}]
    presenter.footage.update(findings=short, state=AnalysisState.WARNINGS)
    assert "0.61" not in shown(browser(alice), "presenter", presenter.public_id)


def test_how_long_the_mouth_is_covered_is_told(alice, presenter):
    found = [{"code": "mouth_covered", "level": "warning", "figure": 1.24}]
    factories.footage(presenter, AnalysisState.WARNINGS, findings=found)
    page = shown(browser(alice), "presenter", presenter.public_id)
    assert "Something passes before the mouth for 1.2 seconds" in page


def test_of_several_faces_one_is_chosen_on_the_page(bob, victor, presenter):
    faces = [[0.1, 0.2, 0.2, 0.4], [0.6, 0.25, 0.2, 0.3]]
    poster = factories.blob(presenter.team, b"poster", "image/jpeg")
    found = factories.footage(presenter, faces=faces, presenter_face=0, poster=poster)
    page = shown(browser(bob), "presenter", presenter.public_id)
    assert "Face 1 is followed" in page
    assert "Follow face 2" in page
    assert '<rect x="600" y="444" width="200" height="533"' in page
    assert "Follow face" not in shown(browser(victor), "presenter", presenter.public_id)
    address = reverse("projects:footage_face", args=[found.public_id])
    assert browser(bob).post(address, {"face": "2"}).status_code == 302
    found.refresh_from_db()
    assert (found.chosen_face, found.state) == ([0.7, 0.4], AnalysisState.WAITING)
    assert "Who is the presenter?" not in shown(browser(bob), "presenter", presenter.public_id)


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1080, 1920), (320, 240)])
def test_a_faces_number_stands_in_the_picture_and_hides_no_face(presenter, width, height):
    poster = factories.blob(presenter.team, b"poster", "image/jpeg")
    boxes = [[0.0, 0.0, 0.06, 0.1], [0.45, 0.4, 0.06, 0.08], [0.94, 0.9, 0.06, 0.1]]
    found = factories.footage(presenter, faces=boxes, presenter_face=1, poster=poster, width=width, height=height)
    marks = selectors.analysed(found).faces
    assert len(marks) == 3
    for mark in marks:
        assert mark.label_r <= mark.label_x <= selectors.PICTURE_WIDTH - mark.label_r
        assert mark.label_r <= mark.label_y <= mark.picture_height - mark.label_r
        assert not mark.y - mark.label_r < mark.label_y < mark.y + mark.height + mark.label_r


def test_footage_that_is_looked_at_again_shows_no_figures_of_before(alice, presenter):
    found = factories.footage(presenter, figures={"speech_s": 9.5, "cv_open": 0.21})
    assert "Speech, seconds" in shown(browser(alice), "presenter", presenter.public_id)
    footage.reanalyse_footage(actor=alice, footage=found)
    assert "Speech, seconds" not in shown(browser(alice), "presenter", presenter.public_id)


def test_a_presenter_with_much_footage_shows_the_newest_and_leads_to_the_rest(alice, presenter):
    client = browser(alice)
    every = [factories.footage(presenter, name=f"take {n}.mp4") for n in range(45)]
    newest = shown(client, "presenter", presenter.public_id)
    assert "take 44.mp4" in newest
    assert "take 4.mp4" not in newest
    assert "?page=2" in newest
    oldest = client.get(reverse("projects:footage", args=[every[4].public_id]), follow=True)
    assert "take 4.mp4" in oldest.content.decode()
    again = client.post(reverse("projects:footage_analyse", args=[every[4].public_id]), follow=True)
    assert "Waiting for its turn" in again.content.decode()
    poll = f"{reverse('projects:presenter_changes', args=[presenter.public_id])}?moving={every[4].public_id}"
    oldest_pk = every[4].pk
    changed = client.get(f"{poll}&last={oldest_pk}&page=3").content.decode()
    assert f'id="footage-{every[4].public_id}"' in changed


def test_who_is_refused_can_go_back_to_where_they_were(bob, presenter):
    found = factories.footage(presenter, AnalysisState.RUNNING, **factories.leased())
    address = reverse("projects:footage_analyse", args=[found.public_id])
    page = f"http://testserver{reverse('projects:presenter', args=[presenter.public_id])}"
    refused = browser(bob).post(address, headers={"referer": page})
    assert refused.status_code == 409
    assert f'href="{page}">Go back' in refused.content.decode()
    for stranger in ("http://evil.example/", f"http://testserver{address}", ""):
        assert "Go back" not in browser(bob).post(address, headers={"referer": stranger}).content.decode()


def test_nothing_is_asked_where_one_face_is_seen(bob, presenter):
    poster = factories.blob(presenter.team, b"poster", "image/jpeg")
    factories.footage(presenter, faces=[[0.1, 0.2, 0.2, 0.4]], presenter_face=0, poster=poster)
    assert "Who is the presenter?" not in shown(browser(bob), "presenter", presenter.public_id)


def test_a_file_with_nothing_in_it_to_play_gets_no_player(alice, presenter):
    footage = factories.footage(presenter, AnalysisState.REFUSED, error_code="bad_media", width=None, height=None)
    footage.blob.content_type = "video/mp4"
    footage.blob.save()
    assert "<video" not in shown(browser(alice), "presenter", presenter.public_id)


def test_progress_is_asked_for_only_while_something_moves(alice, presenter):
    client = browser(alice)
    footage = factories.footage(presenter, AnalysisState.RUNNING, stage="track", progress=50, **factories.leased())
    page = shown(client, "presenter", presenter.public_id)
    assert "Following the face" in page
    assert "every 2s" in page
    footage.state, footage.lease_token, footage.lease_expires_at = AnalysisState.READY, None, None
    footage.save()
    assert "every 2s" not in shown(client, "presenter", presenter.public_id)


def poll_of(page: str, element: str) -> str:
    """The address that the page's poller asks."""
    return page.split(f'id="{element}"')[1].split('hx-get="')[1].split('"')[0].replace("&amp;", "&")


def test_the_page_learns_of_new_and_changed_footage_and_nothing_else(alice, presenter):
    client = browser(alice)
    kept = factories.footage(presenter, name="kept.mp4")
    moving = factories.footage(presenter, AnalysisState.WAITING, name="moving.mp4")
    address = poll_of(shown(client, "presenter", presenter.public_id), "footage-poll")
    assert client.get(address).status_code == 204
    moving.state = AnalysisState.READY
    moving.save()
    fresh = factories.footage(presenter, AnalysisState.WAITING, name="fresh.mp4")
    answer = client.get(address).content.decode()
    assert f'id="footage-{moving.public_id}"' in answer
    assert f'id="footage-{fresh.public_id}"' in answer
    assert kept.public_id not in answer
    assert client.get(poll_of(answer, "footage-poll")).status_code == 204


def test_the_script_page_learns_of_new_takes_and_leaves_the_words_alone(alice, team, script):
    client = browser(alice)
    factories.take(script, "en", name="old.wav")
    address = poll_of(shown(client, "script", script.public_id), "takes-poll")
    assert client.get(address).status_code == 204
    fresh, other = factories.take(script, "en", name="fresh.wav"), factories.take(script, "fr", name="prise.wav")
    answer = client.get(address).content.decode()
    assert 'hx-swap-oob="afterbegin:#takes-en"' in answer
    assert f'id="take-{fresh.public_id}"' in answer
    assert f'id="take-{other.public_id}"' in answer
    assert 'id="text-en"' not in answer
    assert 'id="text-fr"' in answer
    assert "fresh.wav, the newest usable recording" in answer


def test_a_recording_is_asked_whether_it_says_the_words_that_were_corrected(alice, victor, script):
    words = "It says the newest words"
    wrong = scripts.write_version(actor=alice, script=script, language="en", text="Helo.")
    take = factories.take(script, script_version=wrong)
    assert words not in shown(browser(alice), "script", script.public_id)
    scripts.write_version(actor=alice, script=script, language="en", text="Hello.")
    assert words not in shown(browser(victor), "script", script.public_id)
    assert words in shown(browser(alice), "script", script.public_id)
    said = browser(alice).post(reverse("projects:take_words", args=[take.public_id]), follow=True).content.decode()
    assert words not in said
    assert "for version 2 of the words" in said


@pytest.mark.parametrize("name", ["presenters", "scripts"])
def test_a_list_refreshes_itself_only_when_something_changed(alice, team, presenter, script, name):
    client = browser(alice)
    address = poll_of(
        shown(client, name, team.public_id), {"presenters": "presenter-cards", "scripts": "script-rows"}[name]
    )
    assert client.get(address).status_code == 204
    factories.footage(presenter)
    factories.take(script)
    assert client.get(address).status_code == 200


def test_a_viewer_sees_everything_and_no_button_that_changes_it(victor, team, presenter, script):
    factories.footage(presenter)
    factories.take(script)
    client = browser(victor)
    for page in (
        shown(client, "presenters", team.public_id),
        shown(client, "presenter", presenter.public_id),
        shown(client, "scripts", team.public_id),
        shown(client, "script", script.public_id),
        shown(client, "members", team.public_id),
    ):
        assert "data-upload" not in page
        assert "/archive/" not in page
        assert "/invite/" not in page


def test_a_reader_who_writes_is_told_so_in_words_and_in_fragments(victor, presenter):
    url = reverse("projects:presenter_archive", args=[presenter.public_id])
    page = browser(victor).post(url)
    assert (page.status_code, "Your role in this team does not allow that." in page.content.decode()) == (403, True)
    toast = browser(victor).post(url, headers={"HX-Request": "true"})
    assert (toast.status_code, toast["HX-Retarget"]) == (403, "#toasts")
    machine = browser(victor).post(url, headers={"Accept": "application/json"})
    assert machine.json()["code"] == "not_allowed"


def test_a_fragment_asked_for_after_signing_out_sends_the_whole_page_to_sign_in(presenter):
    url = reverse("projects:presenter_changes", args=[presenter.public_id])
    answer = browser().get(url, headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/presenters/x/?a=1"})
    assert (answer.status_code, answer["HX-Redirect"]) == (204, "/accounts/login/?next=%2Fpresenters%2Fx%2F%3Fa%3D1")


def test_archiving_offers_to_undo_once(bob, team, presenter):
    client = browser(bob)
    answer = client.post(reverse("projects:presenter_archive", args=[presenter.public_id]), follow=True)
    restore = reverse("projects:presenter_restore", args=[presenter.public_id])
    assert restore in answer.content.decode()
    assert restore not in shown(client, "presenters", team.public_id)
    assert "Ada" in shown(client, "presenters", team.public_id, query="?archived=1")
    client.post(restore)
    presenter.refresh_from_db()
    assert presenter.archived_at is None


def test_search_finds_by_name_file_and_words(alice, team):
    ada, ben = factories.presenter(team, "Ada"), factories.presenter(team, "Ben")
    factories.footage(ben, name="studio-ada.mp4")
    assert set(selectors.presenters(team, search="ADA")) == {ada, ben}
    script = factories.script(team, "Greeting")
    scripts.write_version(actor=alice, script=script, language="en", text="Spring sale")
    assert list(selectors.scripts(team, search="sale")) == [script]
    assert "Nobody found" in shown(browser(alice), "presenters", team.public_id, query="?q=zzz")


def test_a_list_of_500_is_shown_in_pages(alice, team):
    factories.Presenter.objects.bulk_create(factories.Presenter(team=team, name=f"P{n:03}") for n in range(500))
    client = browser(alice)
    first = shown(client, "presenters", team.public_id)
    last = shown(client, "presenters", team.public_id, query="?page=999")
    assert ("P047" in first, "P048" in first, "P499" in last) == (True, False, True)


def test_the_number_of_queries_does_not_grow_with_what_is_kept(
    alice, busy_team, django_assert_max_num_queries, django_assert_num_queries
):
    presenter, script = busy_team.presenters.first(), busy_team.scripts.first()
    with django_assert_num_queries(2):
        selectors.presenter_cards(selectors.presenters(busy_team))
    with django_assert_num_queries(3):
        selectors.script_cards(selectors.scripts(busy_team))
    with django_assert_num_queries(2):
        selectors.script_languages(script)
    client = browser(alice)
    for name, args, most in [
        ("presenters", [busy_team.public_id], 10),  # one for all mouth models
        ("presenter", [presenter.public_id], 12),  # and two for how long learning one takes
        ("scripts", [busy_team.public_id], 10),
        ("script", [script.public_id], 9),
        ("members", [busy_team.public_id], 9),
    ]:
        client.get(reverse(f"projects:{name}", args=args))  # the first page of a session also remembers its team
        with django_assert_max_num_queries(most):
            client.get(reverse(f"projects:{name}", args=args))


def test_a_link_is_shown_once_and_lets_its_reader_in(alice, charlie, team):
    client = browser(alice)
    page = client.post(reverse("projects:invite", args=[team.public_id]), {"role": "reviewer"}).content.decode()
    link = page.split('id="invitation-link"')[1].split('value="')[1].split('"')[0]
    assert "/invitations/" in link
    assert link not in shown(client, "members", team.public_id)
    guest = browser(charlie)
    assert "Join Alice" in guest.get(link).content.decode()
    assert not Membership.objects.filter(team=team, user=charlie).exists()
    guest.post(link)
    assert Membership.objects.get(team=team, user=charlie).role == Role.REVIEWER
    assert client.get(link).status_code == 410


def test_an_unknown_role_or_a_membership_of_another_team_is_not_found(alice, team, charlie):
    theirs = Membership.objects.get(user=charlie)
    url = reverse("projects:member_role", args=[team.public_id, theirs.pk])
    assert browser(alice).post(url, {"role": "viewer"}).status_code == 404
    assert browser(alice).post(reverse("projects:invite", args=[team.public_id]), {"role": "king"}).status_code == 404


def test_names_that_look_like_markup_stay_names(alice, team):
    presenter = factories.presenter(team, "<b>Ada</b>")
    factories.footage(presenter, name='"><script>alert(1)</script>.mp4')
    page = shown(browser(alice), "presenter", presenter.public_id)
    assert "<b>Ada</b>" not in page
    assert "<script>alert" not in page


def test_the_settings_tell_what_was_done_and_how_much_is_kept(alice, team):
    teams.rename_team(actor=alice, team=team, name="Ours")
    page = shown(browser(alice), "team_settings", team.public_id)
    assert "Team renamed" in page
    browser(alice).post(reverse("projects:team_settings", args=[team.public_id]), {"name": "Yours"})
    team.refresh_from_db()
    assert team.name == "Yours"


def test_a_new_team_belongs_to_whoever_made_it_and_is_switched_to(charlie):
    client = browser(charlie)
    client.post(reverse("projects:team_new"), {"name": "Second"})
    made = charlie.teams.get(name="Second")
    assert client.session["team"] == made.public_id
    first = charlie.teams.exclude(pk=made.pk).get()
    client.post(reverse("projects:team_switch", args=[first.public_id]))
    assert client.session["team"] == first.public_id


def test_words_are_written_from_the_page(bob, team):
    client = browser(bob)
    form = {"title": "Sale", "language": "zh-hans", "text": "你好"}
    address = client.post(reverse("projects:script_new", args=[team.public_id]), form)["Location"]
    script = team.scripts.get()
    client.post(reverse("projects:script_write", args=[script.public_id]), {"language": "zh-hans", "text": "大家好"})
    assert [version.number for version in script.versions.all()] == [2, 1]
    assert "大家好" in client.get(address).content.decode()


def test_words_that_are_refused_leave_no_script_behind(bob, team):
    form = {"title": "Sale", "language": "en", "text": "x" * (scripts.MAX_TEXT + 1)}
    answer = browser(bob).post(reverse("projects:script_new", args=[team.public_id]), form)
    assert answer.status_code == 400
    assert "The text is longer than" in answer.content.decode()
    assert not team.scripts.exists()


def test_earlier_words_are_kept_and_can_be_used_again(bob, script):
    for text in ("First.", "Second."):
        scripts.write_version(actor=bob, script=script, language="en", text=text)
    client = browser(bob)
    assert "1 earlier version of the words" in shown(client, "script", script.public_id)
    client.post(reverse("projects:script_write", args=[script.public_id]), {"language": "en", "text": "First."})
    assert [version.text for version in script.versions.all()] == ["First.", "Second.", "First."]


def test_the_way_to_the_teams_settings_is_there_on_pages_that_belong_to_no_team(alice, victor, team):
    settings_page = reverse("projects:team_settings", args=[team.public_id])
    for person, sees in ((alice, True), (victor, False)):
        page = browser(person).get(reverse("projects:tokens")).content.decode()
        assert (f'href="{settings_page}"' in page) is sees
