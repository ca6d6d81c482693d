"""Addresses for whoever looks after the server: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute


def add_health(app: FastAPI, ready: Callable[[], bool], metrics: Callable[[], str]) -> None:
    """/healthz answers while the process lives; /readyz with 503 until there is a model; /metrics is for Prometheus."""

    def healthz() -> PlainTextResponse:
        return PlainTextResponse("alive\n")

    def readyz() -> PlainTextResponse:
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("the model is not loaded yet\n", 503)

    def measured() -> PlainTextResponse:
        return PlainTextResponse(metrics())

    for path, answer in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", measured)):
        app.router.routes.insert(0, APIRoute(path, answer, methods=["GET"], include_in_schema=False))
