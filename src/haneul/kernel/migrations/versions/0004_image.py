"""image: metadata definitions, stores, locations"""

import sqlalchemy as sa
from alembic import op

from haneul.kernel.clock import now

revision = "0004"
down_revision = "0003"

RESOURCE_TYPES = ("OS::Cinder::Volume", "OS::Glance::Image", "OS::Nova::Aggregate", "OS::Nova::Flavor", "OS::Nova::Server",
                  "OS::Trove::Instance")


def upgrade() -> None:
    with op.batch_alter_table("images", schema=None) as batch_op:
        batch_op.add_column(sa.Column("locations", sa.JSON(), server_default="[]", nullable=False))
    # what there is of data so far is in the one store that there was
    op.execute("""UPDATE images SET locations = '[{"store":"file"}]' WHERE status IN ('active', 'deactivated')""")
    op.create_table(
        "metadef_namespaces",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("namespace", sa.String(length=80), nullable=False),
        sa.Column("display_name", sa.String(length=80), nullable=True),
        sa.Column("description", sa.String(length=500), nullable=True),
        sa.Column("visibility", sa.String(length=16), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metadef_namespaces")),
        sa.UniqueConstraint("namespace", name=op.f("uq_metadef_namespaces_namespace")))
    op.create_index("ix_metadef_namespaces_listed", "metadef_namespaces", ["created_at", "namespace"])
    op.create_index(op.f("ix_metadef_namespaces_owner"), "metadef_namespaces", ["owner"])
    op.create_table(
        "metadef_items",
        sa.Column("namespace_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["namespace_id"], ["metadef_namespaces.id"], ondelete="CASCADE",
                                name=op.f("fk_metadef_items_namespace_id_metadef_namespaces")),
        sa.PrimaryKeyConstraint("namespace_id", "kind", "name", name=op.f("pk_metadef_items")))
    types = op.create_table(
        "metadef_resource_types",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_metadef_resource_types")))
    op.bulk_insert(types, [{"name": name, "created_at": now(), "updated_at": now()} for name in RESOURCE_TYPES])
    op.create_table(
        "metadef_associations",
        sa.Column("namespace_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("prefix", sa.String(length=80), nullable=True),
        sa.Column("properties_target", sa.String(length=80), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["namespace_id"], ["metadef_namespaces.id"], ondelete="CASCADE",
                                name=op.f("fk_metadef_associations_namespace_id_metadef_namespaces")),
        sa.ForeignKeyConstraint(["name"], ["metadef_resource_types.name"],
                                name=op.f("fk_metadef_associations_name_metadef_resource_types")),
        sa.PrimaryKeyConstraint("namespace_id", "name", name=op.f("pk_metadef_associations")))
    op.create_table(
        "image_cache",
        sa.Column("image_id", sa.String(length=36), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha512", sa.String(length=128), nullable=True),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("queued_at", sa.Float(), nullable=False),
        sa.Column("cached_at", sa.Float(), nullable=True),
        sa.Column("accessed_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_image_cache")))
