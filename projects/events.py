"""What this room tells webhooks. ``rendering.events`` tells of work and results."""

from __future__ import annotations

from django.urls import reverse

from projects.models import AnalysisState, AudioTake, Footage
from projects.services.webhooks import Told, emit


def footage_settled(pk: int) -> None:
    """The analysis of footage has ended. Call it in the transaction that says so."""
    footage = Footage.objects.select_related("presenter__team", "blob", "poster").get(pk=pk)

    def tell() -> Told:
        # The API's shapes are needed only when somebody listens, and they need the services.
        from projects.api.serializers import FootageSerializer

        links = {
            "api": reverse("api:footage-detail", args=[footage.public_id]),
            "page": reverse("projects:presenter", args=[footage.presenter.public_id]),
        }
        return Told(FootageSerializer(footage).data, links)

    emit(team_id=footage.presenter.team_id, event=f"footage.{_verdict(footage)}", tell=tell)


def take_settled(pk: int) -> None:
    """The same of an audio take."""
    take = AudioTake.objects.select_related("script_version__script__team", "blob").get(pk=pk)
    script = take.script_version.script

    def tell() -> Told:
        from projects.api.serializers import TakeSerializer

        links = {
            "api": reverse("api:take-detail", args=[take.public_id]),
            "page": reverse("projects:script", args=[script.public_id]),
        }
        return Told(TakeSerializer(take).data, links)

    emit(team_id=script.team_id, event=f"take.{_verdict(take)}", tell=tell)


def _verdict(item: Footage | AudioTake) -> str:
    return "refused" if item.state == AnalysisState.REFUSED else "ready"
