"""Clients for the API tests: one a person, one a token."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient


@pytest.fixture
def as_person() -> Callable[[User], APIClient]:
    def client(user: User) -> APIClient:
        api = APIClient()
        api.force_login(user)
        return api

    return client


@pytest.fixture
def as_token() -> Callable[[str], APIClient]:
    def client(text: str) -> APIClient:
        return APIClient(HTTP_AUTHORIZATION=f"Bearer {text}")

    return client
