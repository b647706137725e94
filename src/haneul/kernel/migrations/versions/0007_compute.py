"""compute: files for guests"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table('server_files',
    sa.Column('server_id', sa.String(length=36), nullable=False),
    sa.Column('files', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('server_id', name=op.f('pk_server_files'))
    )
