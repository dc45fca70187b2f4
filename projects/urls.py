from __future__ import annotations

from django.urls import path

from projects.views import media, presenters, scripts, teams, tokens, uploads

app_name = "projects"
urlpatterns = [
    path("teams/new/", teams.team_new, name="team_new"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/<str:public_id>/revoke/", tokens.token_revoke, name="token_revoke"),
    path("t/<str:team_id>/tokens/", tokens.team_tokens, name="team_tokens"),
    path("t/<str:team_id>/tokens/<str:public_id>/act/", tokens.team_token_act, name="team_token_act"),
    path("t/<str:team_id>/switch/", teams.team_switch, name="team_switch"),
    path("t/<str:team_id>/settings/", teams.team_settings, name="team_settings"),
    path("t/<str:team_id>/members/", teams.members, name="members"),
    path("t/<str:team_id>/members/invite/", teams.invite, name="invite"),
    path("t/<str:team_id>/members/<int:number>/role/", teams.member_role, name="member_role"),
    path("t/<str:team_id>/members/<int:number>/remove/", teams.member_remove, name="member_remove"),
    path("invitations/<str:token>/", teams.invitation, name="invitation"),
    path("invitations/<str:public_id>/revoke/", teams.invitation_revoke, name="invitation_revoke"),
    path("t/<str:team_id>/presenters/", presenters.presenters, name="presenters"),
    path("t/<str:team_id>/presenters/new/", presenters.presenter_new, name="presenter_new"),
    path("t/<str:team_id>/presenters/changes", presenters.presenters_changes, name="presenters_changes"),
    path("presenters/<str:public_id>/", presenters.presenter, name="presenter"),
    path("presenters/<str:public_id>/changes", presenters.presenter_changes, name="presenter_changes"),
    path("presenters/<str:public_id>/edit/", presenters.presenter_edit, name="presenter_edit"),
    path("presenters/<str:public_id>/archive/", presenters.presenter_archive, name="presenter_archive"),
    path("presenters/<str:public_id>/restore/", presenters.presenter_restore, name="presenter_restore"),
    path("footage/<str:public_id>/", presenters.footage, name="footage"),
    path("footage/<str:public_id>/archive/", presenters.footage_archive, name="footage_archive"),
    path("footage/<str:public_id>/restore/", presenters.footage_restore, name="footage_restore"),
    path("footage/<str:public_id>/analyse/", presenters.footage_analyse, name="footage_analyse"),
    path("t/<str:team_id>/scripts/", scripts.scripts, name="scripts"),
    path("t/<str:team_id>/scripts/new/", scripts.script_new, name="script_new"),
    path("t/<str:team_id>/scripts/changes", scripts.scripts_changes, name="scripts_changes"),
    path("scripts/<str:public_id>/", scripts.script, name="script"),
    path("scripts/<str:public_id>/changes", scripts.script_changes, name="script_changes"),
    path("scripts/<str:public_id>/write/", scripts.script_write, name="script_write"),
    path("scripts/<str:public_id>/edit/", scripts.script_edit, name="script_edit"),
    path("scripts/<str:public_id>/archive/", scripts.script_archive, name="script_archive"),
    path("scripts/<str:public_id>/restore/", scripts.script_restore, name="script_restore"),
    path("takes/<str:public_id>/archive/", scripts.take_archive, name="take_archive"),
    path("takes/<str:public_id>/restore/", scripts.take_restore, name="take_restore"),
    path("takes/<str:public_id>/analyse/", scripts.take_analyse, name="take_analyse"),
    path("media/<str:public_id>/<path:name>", media.media, name="media"),
    path("uploads/", uploads.start, name="uploads"),
    path("uploads/<str:public_id>/", uploads.upload, name="upload"),
]
