"""The wire of images. Gathered here, so that a module of the wire never hides the rules of the same name."""

from haneul.image.api import cache, files, images, imports, members, metadef_items, metadef_schemas, metadefs, schemas

ROUTES = [cache.routes, files.routes, images.routes, imports.routes, members.routes,
          metadefs.routes, metadef_items.routes, metadef_schemas.routes, schemas.routes]
