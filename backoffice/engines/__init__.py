"""Django's database engines, with limits by role (backoffice.limits)."""
