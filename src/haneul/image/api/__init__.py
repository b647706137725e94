"""The wire of images. Gathered here, so that a module of the wire never hides the rules of the same name."""

from haneul.image.api import files, images, imports, members, schemas

ROUTES = [files.routes, images.routes, imports.routes, members.routes, schemas.routes]
