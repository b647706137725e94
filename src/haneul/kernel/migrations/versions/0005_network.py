"""network: quality of service, trunks"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    _qos()
    _trunks()
    for table, column in (("ports", "qos_policy_id"), ("networks", "qos_policy_id"), ("floating_ips", "qos_policy_id"),
                          ("routers", "gateway_qos_policy_id")):
        op.add_column(table, sa.Column(column, sa.String(length=36), nullable=True))
        op.create_index(op.f(f'ix_{table}_{column}'), table, [column], unique=False)
    op.add_column('networks', sa.Column('vlan_transparent', sa.Boolean(), nullable=True))


def _qos() -> None:
    op.create_table('qos_policies',
    sa.Column('shared', sa.Boolean(), nullable=False),
    sa.Column('is_default', sa.Boolean(), nullable=False),
    *_standard(),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_qos_policies'))
    )
    op.create_index(op.f('ix_qos_policies_project_id'), 'qos_policies', ['project_id'], unique=False)
    op.create_index('uq_qos_policies_default', 'qos_policies', ['project_id'], unique=True,
                    sqlite_where=sa.text('is_default'), postgresql_where=sa.text('is_default'))
    op.create_table('qos_rules',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('qos_policy_id', sa.String(length=36), nullable=False),
    sa.Column('type', sa.String(length=32), nullable=False),
    sa.Column('direction', sa.String(length=16), nullable=True),
    sa.Column('max_kbps', sa.Integer(), nullable=True),
    sa.Column('max_burst_kbps', sa.Integer(), nullable=True),
    sa.Column('min_kbps', sa.Integer(), nullable=True),
    sa.Column('max_kpps', sa.Integer(), nullable=True),
    sa.Column('max_burst_kpps', sa.Integer(), nullable=True),
    sa.Column('min_kpps', sa.Integer(), nullable=True),
    sa.Column('dscp_mark', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['qos_policy_id'], ['qos_policies.id'], name=op.f('fk_qos_rules_qos_policy_id'),
                            ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_qos_rules'))
    )
    op.create_index(op.f('ix_qos_rules_qos_policy_id'), 'qos_rules', ['qos_policy_id'], unique=False)


def _trunks() -> None:
    op.create_table('trunks',
    sa.Column('port_id', sa.String(length=36), nullable=False),
    sa.Column('admin_state_up', sa.Boolean(), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    *_standard(),
    sa.ForeignKeyConstraint(['port_id'], ['ports.id'], name=op.f('fk_trunks_port_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_trunks')),
    sa.UniqueConstraint('port_id', name=op.f('uq_trunks_port_id'))
    )
    op.create_index(op.f('ix_trunks_project_id'), 'trunks', ['project_id'], unique=False)
    op.create_table('trunk_subports',
    sa.Column('port_id', sa.String(length=36), nullable=False),
    sa.Column('trunk_id', sa.String(length=36), nullable=False),
    sa.Column('segmentation_type', sa.String(length=16), nullable=False),
    sa.Column('segmentation_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['port_id'], ['ports.id'], name=op.f('fk_trunk_subports_port_id')),
    sa.ForeignKeyConstraint(['trunk_id'], ['trunks.id'], name=op.f('fk_trunk_subports_trunk_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('port_id', name=op.f('pk_trunk_subports')),
    sa.UniqueConstraint('trunk_id', 'segmentation_type', 'segmentation_id',
                        name=op.f('uq_trunk_subports_trunk_id_segmentation_type_segmentation_id'))
    )


def _standard() -> list[sa.Column]:
    return [
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('description', sa.String(length=255), nullable=False),
        sa.Column('tags', sa.JSON(), nullable=False),
        sa.Column('revision_number', sa.Integer(), nullable=False),
        sa.Column('created_at', sa.DateTime(), nullable=False),
        sa.Column('updated_at', sa.DateTime(), nullable=False),
    ]
