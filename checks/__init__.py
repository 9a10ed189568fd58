"""What the app needs, looked at: by an operator's `doctor`, and each day by the app itself."""
