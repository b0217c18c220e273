"""How long a task stays away when its worker dies."""
