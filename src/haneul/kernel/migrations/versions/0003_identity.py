"""identity: trusts, domain configuration, OAuth consumers, endpoint groups, limits"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table('identity_consumers',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('sealed', sa.Text(), nullable=False),
    sa.Column('extra', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_consumers'))
    )
    op.create_table('identity_endpoint_groups',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('filters', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_endpoint_groups'))
    )
    op.create_table('identity_oauth_nonces',
    sa.Column('nonce', sa.String(length=128), nullable=False),
    sa.Column('used_at', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('nonce', name=op.f('pk_identity_oauth_nonces'))
    )
    with op.batch_alter_table('identity_oauth_nonces', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_identity_oauth_nonces_used_at'), ['used_at'], unique=False)

    op.create_table('identity_domain_options',
    sa.Column('domain_id', sa.String(length=64), nullable=False),
    sa.Column('option_group', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('sealed', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['domain_id'], ['identity_projects.id'], name=op.f('fk_identity_domain_options_domain_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('domain_id', 'option_group', 'name', name=op.f('pk_identity_domain_options'))
    )
    op.create_table('identity_policy_associations',
    sa.Column('endpoint_id', sa.String(length=64), nullable=False),
    sa.Column('service_id', sa.String(length=64), nullable=False),
    sa.Column('region_id', sa.String(length=255), nullable=False),
    sa.Column('policy_id', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['policy_id'], ['identity_policies.id'], name=op.f('fk_identity_policy_associations_policy_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('endpoint_id', 'service_id', 'region_id', name=op.f('pk_identity_policy_associations'))
    )
    with op.batch_alter_table('identity_policy_associations', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_identity_policy_associations_policy_id'), ['policy_id'], unique=False)

    op.create_table('identity_project_endpoint_groups',
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('group_id', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['group_id'], ['identity_endpoint_groups.id'], name=op.f('fk_identity_project_endpoint_groups_group_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['identity_projects.id'], name=op.f('fk_identity_project_endpoint_groups_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('project_id', 'group_id', name=op.f('pk_identity_project_endpoint_groups'))
    )
    with op.batch_alter_table('identity_project_endpoint_groups', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_identity_project_endpoint_groups_group_id'), ['group_id'], unique=False)

    op.create_table('identity_registered_limits',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('service_id', sa.String(length=64), nullable=False),
    sa.Column('region_id', sa.String(length=255), nullable=True),
    sa.Column('resource_name', sa.String(length=255), nullable=False),
    sa.Column('default_limit', sa.BigInteger(), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['region_id'], ['identity_regions.id'], name=op.f('fk_identity_registered_limits_region_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['service_id'], ['identity_services.id'], name=op.f('fk_identity_registered_limits_service_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_registered_limits'))
    )
    with op.batch_alter_table('identity_registered_limits', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_identity_registered_limits_service_id'), ['service_id'], unique=False)

    op.create_table('identity_limits',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('registered_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=True),
    sa.Column('domain_id', sa.String(length=64), nullable=True),
    sa.Column('resource_limit', sa.BigInteger(), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['domain_id'], ['identity_projects.id'], name=op.f('fk_identity_limits_domain_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['identity_projects.id'], name=op.f('fk_identity_limits_project_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['registered_id'], ['identity_registered_limits.id'], name=op.f('fk_identity_limits_registered_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_limits'))
    )
    with op.batch_alter_table('identity_limits', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_identity_limits_domain_id'), ['domain_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_identity_limits_project_id'), ['project_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_identity_limits_registered_id'), ['registered_id'], unique=False)

    op.create_table('identity_oauth_tokens',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('access', sa.Boolean(), nullable=False),
    sa.Column('consumer_id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=True),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('role_ids', sa.JSON(), nullable=False),
    sa.Column('sealed', sa.Text(), nullable=False),
    sa.Column('verifier', sa.String(length=64), nullable=True),
    sa.Column('expires_at', sa.DateTime(), nullable=True),
    sa.ForeignKeyConstraint(['consumer_id'], ['identity_consumers.id'], name=op.f('fk_identity_oauth_tokens_consumer_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['identity_projects.id'], name=op.f('fk_identity_oauth_tokens_project_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['identity_users.id'], name=op.f('fk_identity_oauth_tokens_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_oauth_tokens'))
    )
    with op.batch_alter_table('identity_oauth_tokens', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_identity_oauth_tokens_consumer_id'), ['consumer_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_identity_oauth_tokens_project_id'), ['project_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_identity_oauth_tokens_user_id'), ['user_id'], unique=False)

    op.create_table('identity_project_endpoints',
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('endpoint_id', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['endpoint_id'], ['identity_endpoints.id'], name=op.f('fk_identity_project_endpoints_endpoint_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['identity_projects.id'], name=op.f('fk_identity_project_endpoints_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('project_id', 'endpoint_id', name=op.f('pk_identity_project_endpoints'))
    )
    with op.batch_alter_table('identity_project_endpoints', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_identity_project_endpoints_endpoint_id'), ['endpoint_id'], unique=False)

    op.create_table('identity_trusts',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('trustor_user_id', sa.String(length=64), nullable=False),
    sa.Column('trustee_user_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=True),
    sa.Column('impersonation', sa.Boolean(), nullable=False),
    sa.Column('expires_at', sa.DateTime(), nullable=True),
    sa.Column('remaining_uses', sa.Integer(), nullable=True),
    sa.Column('redelegation_count', sa.Integer(), nullable=False),
    sa.Column('redelegated_trust_id', sa.String(length=64), nullable=True),
    sa.Column('role_ids', sa.JSON(), nullable=False),
    sa.Column('extra', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['project_id'], ['identity_projects.id'], name=op.f('fk_identity_trusts_project_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['redelegated_trust_id'], ['identity_trusts.id'], name=op.f('fk_identity_trusts_redelegated_trust_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['trustee_user_id'], ['identity_users.id'], name=op.f('fk_identity_trusts_trustee_user_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['trustor_user_id'], ['identity_users.id'], name=op.f('fk_identity_trusts_trustor_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_trusts'))
    )
    with op.batch_alter_table('identity_trusts', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_identity_trusts_project_id'), ['project_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_identity_trusts_redelegated_trust_id'), ['redelegated_trust_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_identity_trusts_trustee_user_id'), ['trustee_user_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_identity_trusts_trustor_user_id'), ['trustor_user_id'], unique=False)

    with op.batch_alter_table('identity_revocations', schema=None) as batch_op:
        batch_op.add_column(sa.Column('kind', sa.String(length=32), server_default='', nullable=False))

    with op.batch_alter_table('identity_users', schema=None) as batch_op:
        batch_op.add_column(sa.Column('last_active_at', sa.DateTime(), nullable=True))

    with op.batch_alter_table('identity_passwords', schema=None) as batch_op:
        batch_op.add_column(sa.Column('self_service', sa.Boolean(), server_default=sa.false(), nullable=False))
