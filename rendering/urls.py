from __future__ import annotations

from django.urls import URLPattern

app_name = "rendering"
urlpatterns: list[URLPattern] = []
