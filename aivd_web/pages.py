"""Pages that belong to no app: signing in and out."""

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from aivd_web.passwords import MOST_LETTERS

WRONG = (
    "Wrong username or password. Both are case-sensitive: is Caps Lock on? "
    "If you have forgotten the password, an admin can set a new one."
)


class SignInForm(AuthenticationForm):
    """Django's own check with our words; it says the same of an unknown, a wrong and a disabled account."""

    error_messages = {"invalid_login": WRONG, "inactive": WRONG}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.error_messages["required"] = f"Enter your {name}."
            field.widget.attrs["class"] = "input"
        self.fields["password"].widget.attrs["maxlength"] = MOST_LETTERS

    def full_clean(self) -> None:
        super().full_clean()
        for name in self.errors:
            if name in self.fields:
                attrs = {"aria-invalid": "true", "aria-describedby": f"id_{name}_error"}
                self.fields[name].widget.attrs.update(attrs)


class SignIn(LoginView):
    template_name = "sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True


urlpatterns = [
    path("sign-in/", SignIn.as_view(), name="sign-in"),
    path("sign-out/", LogoutView.as_view(next_page="/sign-in/"), name="sign-out"),
]
