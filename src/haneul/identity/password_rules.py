"""What the operator asks of passwords, under Keystone's names ([security_compliance]): strength, age, expiry, first use."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from haneul.identity import passwords
from haneul.identity.model import Password, User
from haneul.kernel import clock
from haneul.kernel.config import Identity
from haneul.kernel.errors import BadRequest


def check(settings: Identity, password: object) -> str:
    """A password that may be set."""
    if not isinstance(password, str) or not password or len(password) > passwords.MAXIMUM:
        raise BadRequest(f"Invalid input for field 'password': it must have 1 to {passwords.MAXIMUM} characters.")
    if settings.password_regex and not re.match(settings.password_regex, password):
        wanted = settings.password_regex_description or "it must match the regular expression of this cloud"
        raise BadRequest(f"The password does not match the requirements: {wanted}.")
    return password


def check_age(settings: Identity, newest: Password | None) -> None:
    """A password that its user chose has to be kept for a while, so that the history of passwords is not run through."""
    if newest is None or not newest.self_service or not settings.minimum_password_age:
        return
    until = newest.created_at + timedelta(days=settings.minimum_password_age)
    if clock.now() < until:
        raise BadRequest(
            "You cannot change your password at this time due to the minimum password age. Once you change your password, it "
            f"must be used for {settings.minimum_password_age} day(s) before it can be changed. Please try again in "
            f"{(until - clock.now()).days} day(s) or contact your administrator to reset your password.")


def expiry(settings: Identity, user: User, *, own: bool) -> datetime | None:
    """Until when a password that is set now may be used. At once no more if another chose it and users must choose their own."""
    if not own and settings.change_password_upon_first_use and not user.options.get("ignore_change_password_upon_first_use"):
        return clock.now()
    if not settings.password_expires_days or user.options.get("ignore_password_expiry"):
        return None
    return (clock.now() + timedelta(days=settings.password_expires_days)).replace(microsecond=0)


def inactive(settings: Identity, user: User) -> bool:
    """Whether a user has not logged in for so long that the account counts as disabled."""
    most = settings.disable_user_account_days_inactive
    if not most or user.last_active_at is None or user.options.get("ignore_user_inactivity"):
        return False
    return (clock.now().date() - user.last_active_at.date()).days >= most


def to_note(settings: Identity, user: User) -> bool:
    """Whether a log-in has to be written down: once a day, and only where someone asks."""
    return bool(settings.disable_user_account_days_inactive) and (
        user.last_active_at is None or user.last_active_at.date() < clock.now().date())
