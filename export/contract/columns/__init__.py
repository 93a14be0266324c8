"""Columns of a large catalog's items, which processes map into memory instead of parsing all lines.

`layout` names the columns and opens their file, `writing` makes it from `items.jsonl`, and
`mapped_items` reads items by it. All import the standard library only.
"""
