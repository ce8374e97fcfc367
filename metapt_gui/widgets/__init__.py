"""Widgets that know nothing of pages or projects."""
