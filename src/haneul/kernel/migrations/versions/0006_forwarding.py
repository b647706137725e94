"""network: port forwarding, address groups, flavors and what else routers and groups learned"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table('address_groups',
    sa.Column('addresses', sa.JSON(), nullable=False),
    sa.Column('shared', sa.Boolean(), nullable=False),
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('tags', sa.JSON(), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.Column('updated_at', sa.DateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_address_groups'))
    )
    op.create_index(op.f('ix_address_groups_project_id'), 'address_groups', ['project_id'], unique=False)

    with op.batch_alter_table('security_group_rules', schema=None) as batch_op:
        batch_op.add_column(sa.Column('remote_address_group_id', sa.String(length=36), nullable=True))
        batch_op.create_index(batch_op.f('ix_security_group_rules_remote_address_group_id'), ['remote_address_group_id'], unique=False)
        batch_op.create_foreign_key(batch_op.f('fk_security_group_rules_remote_address_group_id'), 'address_groups',
                                    ['remote_address_group_id'], ['id'])

    op.create_table('port_forwardings',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('floatingip_id', sa.String(length=36), nullable=False),
    sa.Column('internal_port_id', sa.String(length=36), nullable=False),
    sa.Column('internal_ip_address', sa.String(length=64), nullable=False),
    sa.Column('protocol', sa.String(length=16), nullable=False),
    sa.Column('external_first', sa.Integer(), nullable=False),
    sa.Column('external_last', sa.Integer(), nullable=False),
    sa.Column('internal_first', sa.Integer(), nullable=False),
    sa.Column('internal_last', sa.Integer(), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['floatingip_id'], ['floating_ips.id'], name=op.f('fk_port_forwardings_floatingip_id')),
    sa.ForeignKeyConstraint(['internal_port_id'], ['ports.id'], name=op.f('fk_port_forwardings_internal_port_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_port_forwardings')),
    sa.UniqueConstraint('floatingip_id', 'protocol', 'external_first',
                        name=op.f('uq_port_forwardings_floatingip_id_protocol_external_first')),
    sa.UniqueConstraint('internal_port_id', 'internal_ip_address', 'protocol', 'internal_first',
                        name='uq_port_forwardings_internal')
    )
    op.create_index(op.f('ix_port_forwardings_floatingip_id'), 'port_forwardings', ['floatingip_id'], unique=False)
    op.create_index(op.f('ix_port_forwardings_internal_port_id'), 'port_forwardings', ['internal_port_id'], unique=False)

    op.create_table('network_flavors',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=1024), nullable=True),
    sa.Column('service_type', sa.String(length=36), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_network_flavors'))
    )
    op.create_table('network_service_profiles',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('description', sa.String(length=1024), nullable=True),
    sa.Column('driver', sa.String(length=1024), nullable=False),
    sa.Column('metainfo', sa.Text(), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_network_service_profiles'))
    )
    op.create_table('network_flavor_profiles',
    sa.Column('flavor_id', sa.String(length=36), nullable=False),
    sa.Column('profile_id', sa.String(length=36), nullable=False),
    sa.ForeignKeyConstraint(['flavor_id'], ['network_flavors.id'], name=op.f('fk_network_flavor_profiles_flavor_id'),
                            ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['profile_id'], ['network_service_profiles.id'],
                            name=op.f('fk_network_flavor_profiles_profile_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('flavor_id', 'profile_id', name=op.f('pk_network_flavor_profiles'))
    )
    op.create_index(op.f('ix_network_flavor_profiles_profile_id'), 'network_flavor_profiles', ['profile_id'], unique=False)
    # No foreign key: SQLite would have to make the table anew, and floating IPs refer to it. A flavor in use is not deleted.
    op.add_column('routers', sa.Column('flavor_id', sa.String(length=36), nullable=True))
    op.create_index(op.f('ix_routers_flavor_id'), 'routers', ['flavor_id'], unique=False)

    op.create_table('auto_allocated_topologies',
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('network_id', sa.String(length=36), nullable=False),
    sa.Column('router_id', sa.String(length=36), nullable=True),
    sa.ForeignKeyConstraint(['network_id'], ['networks.id'], name=op.f('fk_auto_allocated_topologies_network_id'),
                            ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['router_id'], ['routers.id'], name=op.f('fk_auto_allocated_topologies_router_id'),
                            ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('project_id', name=op.f('pk_auto_allocated_topologies'))
    )
    op.create_index(op.f('ix_auto_allocated_topologies_network_id'), 'auto_allocated_topologies', ['network_id'], unique=False)
    op.create_index(op.f('ix_auto_allocated_topologies_router_id'), 'auto_allocated_topologies', ['router_id'], unique=False)

    op.create_table('network_agents',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('host', sa.String(length=255), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('admin_state_up', sa.Boolean(), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=True),
    sa.Column('deleted', sa.Float(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_network_agents'))
    )
    op.create_index(op.f('ix_network_agents_host'), 'network_agents', ['host'], unique=False)

    op.create_table('network_dhcp_services',
    sa.Column('network_id', sa.String(length=36), nullable=False),
    sa.Column('host', sa.String(length=255), nullable=False),
    sa.Column('served', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['network_id'], ['networks.id'], name=op.f('fk_network_dhcp_services_network_id'),
                            ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('network_id', 'host', name=op.f('pk_network_dhcp_services'))
    )

    segments = op.create_table('network_segments',
    sa.Column('network_id', sa.String(length=36), nullable=False),
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('tags', sa.JSON(), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.Column('updated_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['network_id'], ['networks.id'], name=op.f('fk_network_segments_network_id'),
                            ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_network_segments')),
    sa.UniqueConstraint('network_id', name=op.f('uq_network_segments_network_id'))
    )
    op.create_index(op.f('ix_network_segments_project_id'), 'network_segments', ['project_id'], unique=False)
    op.add_column('subnets', sa.Column('segment_id', sa.String(length=36), nullable=True))
    networks = sa.table('networks', sa.column('id', sa.String), sa.column('project_id', sa.String),
                        sa.column('created_at', sa.DateTime))
    present = [{'id': str(uuid.uuid4()), 'network_id': row.id, 'project_id': row.project_id, 'name': '', 'description': '',
                'tags': [], 'revision_number': 0, 'created_at': row.created_at, 'updated_at': row.created_at}
               for row in op.get_bind().execute(sa.select(networks.c.id, networks.c.project_id, networks.c.created_at))]
    if present:
        op.bulk_insert(segments, present)
