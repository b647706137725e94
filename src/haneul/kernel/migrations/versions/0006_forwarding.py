"""network: port forwarding, address groups, flavors and what else routers and groups learned"""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    pass
