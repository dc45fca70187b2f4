"""Long lists come in pages."""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

LARGEST_ID = 2**63 - 1


class Pages(CursorPagination):
    """The newest first; ``next`` is the address of the page after. A cursor or limit that is none is refused."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        return ("-place",) if getattr(view, "team_path", "") else ("-id",)

    def paginate_queryset(self, queryset: QuerySet[Any], request: Request, view: Any = None) -> list[Any] | None:
        """Which rows they are first, without what is joined to them; then those rows whole.

        In the lists of people's teams ``place`` is the id once more. The database does not know that, and so collects
        the teams' rows and sorts them, instead of reading everybody's from the newest on until it has met enough.
        """
        narrow = queryset.select_related(None).prefetch_related(None).only("pk").annotate(place=F("pk") + 0)
        found = super().paginate_queryset(narrow, request, view)
        if found is None:
            return None
        whole = queryset.in_bulk([row.pk for row in found])
        return [whole[row.pk] for row in found if row.pk in whole]

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor = super().decode_cursor(request)
        except NotFound as error:
            raise ValidationError({"cursor": [str(error.detail)]}) from error
        position = cursor.position if cursor else None
        if position is not None and not (position.isascii() and position.isdigit() and int(position) <= LARGEST_ID):
            raise ValidationError({"cursor": [str(self.invalid_cursor_message)]})
        return cursor

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get("limit")
        if given is None:
            return self.page_size
        if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= self.max_page_size and len(given) < 9):
            raise ValidationError({"limit": [f"1 … {self.max_page_size}"]})
        return int(given)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """As DRF's, with the bounds."""
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == "limit":
                parameter["schema"] |= {"minimum": 1, "maximum": self.max_page_size, "default": self.page_size}
        return parameters
