"""identity: trusts, domain configuration, OAuth consumers, endpoint groups, limits"""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    pass
