"""The schema of the database: its migrations, and the obstacles to one."""
