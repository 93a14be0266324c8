"""Look-up tables of a bundle's items: by id, title, popularity and attribute.

A small catalog's are made from its parsed items. A large one's are the columns that the bundle
holds, which all processes of a machine map. Changes at run time lie over both.
"""
