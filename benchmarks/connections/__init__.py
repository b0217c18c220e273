"""What connections cost a manager, and how it serves beside them."""
